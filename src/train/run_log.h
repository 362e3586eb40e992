// The JSONL log of a run: one object a line, keys sorted, flushed per line.
#pragma once

#include "support/clock.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

class RunLog {
 public:
  // Creates the file. Throws Error(kIo).
  RunLog(const fs::path& path, const Clock& clock) : file_(path), clock_(clock) {}

  // Adds "type" and "timestamp" to the event and appends it. Throws Error(kIo).
  void write(const char* type, Json event);
  // Makes what was written durable.
  void sync() { file_.sync(); }

 private:
  AppendFile file_;
  const Clock& clock_;
};

}  // namespace dlm
