// The JSONL log of a run: one object a line, keys sorted, flushed per line.
#pragma once

#include <memory>
#include <string>

#include "support/clock.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

class RunLog {
 public:
  // Creates the file. Throws Error(kIo).
  RunLog(const fs::path& path, const Clock& clock);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  // Adds "type" and "timestamp" to the event and appends it. Throws Error(kIo).
  void write(const char* type, Json event);
  // Makes what was written durable.
  void sync();
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  const Clock& clock_;
  int descriptor_;
};

}  // namespace dlm
