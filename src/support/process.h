// Other programs as children: one that runs to its end, and one that serves until it is stopped.
// Words are handed over as they are; no shell reads them.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"

namespace dlm {

// The file that a command of this name would run, from the folders of $PATH.
std::optional<fs::path> find_program(std::string_view name);

struct ProcessResult {
  int exit_code = -1;  // -1: ended by a signal
  bool timed_out = false;
  std::string out;
  std::string err;
};

enum class OnInterrupt { kStop, kGoOn };

// Waits at most so many seconds, then kills it. Standard input is empty. Throws Error(kIo) when it
// cannot be started; with kStop also Error(kInterrupted), when it was killed.
ProcessResult run_process(const std::vector<std::string>& words, const fs::path& folder,
                          int timeout_seconds, OnInterrupt on_interrupt = OnInterrupt::kStop);

// Ends with the object: asked to first, killed after five seconds.
class ServerProcess {
 public:
  // Both outputs go into the file `log`.
  ServerProcess(const std::vector<std::string>& words, const fs::path& folder, const fs::path& log);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  bool is_running();

 private:
  pid_t child_ = -1;
};

}  // namespace dlm
