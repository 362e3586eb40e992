// Runs the built program as a child, with its input, its environment and its output in the hands of
// the test. A child that does not end in time is killed and says so.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace dlm {

struct ProgramResult {
  int exit_code = -1;  // -1: ended by a signal
  int signal = 0;
  std::string out;
  std::string err;
  int64_t peak_bytes = 0;  // the most memory that it held
};

struct ProgramOptions {
  std::map<std::string, std::string> environment;  // added to PATH and HOME alone
  std::string input;
  bool keep_input_open = false;
  int64_t max_file_bytes = -1;  // RLIMIT_FSIZE
  // Called with each piece of standard error as it comes, and the child's id.
  std::function<void(const std::string& err_so_far, pid_t child)> on_err;
};

class Program {
 public:
  // Starts the program; its output is read by finish().
  Program(const std::vector<std::string>& arguments, const ProgramOptions& options)
      : options_(options) {
    int in[2], out[2], err[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 ||
        ::pipe2(err, O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipe");
    }
    std::vector<std::string> words = {DLM_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> pairs;
    if (!options.environment.contains("PATH")) pairs.emplace_back("PATH=/usr/bin:/bin");
    if (!options.environment.contains("HOME")) pairs.emplace_back("HOME=/nonexistent");
    for (const auto& [name, value] : options.environment) pairs.push_back(name + "=" + value);
    std::vector<char*> envp;
    for (std::string& pair : pairs) envp.push_back(pair.data());
    envp.push_back(nullptr);
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("no child");
    if (child_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::dup2(err[1], 2);
      if (options.max_file_bytes >= 0) {
        const rlimit limit{static_cast<rlim_t>(options.max_file_bytes),
                           static_cast<rlim_t>(options.max_file_bytes)};
        ::setrlimit(RLIMIT_FSIZE, &limit);
      }
      ::execve(argv[0], argv.data(), envp.data());
      ::_exit(126);
    }
    ::close(in[0]);
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
    in_ = in[1];
    ::signal(SIGPIPE, SIG_IGN);
    size_t done = 0;
    while (done < options.input.size()) {
      const ssize_t n = ::write(in_, options.input.data() + done, options.input.size() - done);
      if (n <= 0) break;  // the child does not read it
      done += static_cast<size_t>(n);
    }
    if (!options.keep_input_open) close_input();
  }
  ~Program() {
    close_input();
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    if (out_ >= 0) ::close(out_);
    ::close(err_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t child() const { return child_; }
  // The reader of standard output goes away.
  void close_output() {
    ::close(out_);
    out_ = -1;
  }

  // Reads until both outputs end, then waits.
  ProgramResult finish(int timeout_seconds = 240) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
    ProgramResult result;
    pollfd both[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
    while (both[0].fd >= 0 || both[1].fd >= 0) {
      if (std::chrono::steady_clock::now() > end) {
        ::kill(child_, SIGKILL);
        result.err += "\n[killed by the test: too slow]\n";
        break;
      }
      ::poll(both, 2, 100);
      for (pollfd& one : both) {
        if (one.fd < 0 || one.revents == 0) continue;
        char buffer[4096];
        const ssize_t n = ::read(one.fd, buffer, sizeof(buffer));
        if (n <= 0) {
          one.fd = -1;
        } else if (one.fd == out_) {
          result.out.append(buffer, static_cast<size_t>(n));
        } else {
          result.err.append(buffer, static_cast<size_t>(n));
          if (options_.on_err) options_.on_err(result.err, child_);
        }
      }
    }
    int status = 0;
    struct rusage usage {};
    ::wait4(child_, &status, 0, &usage);
    child_ = -1;
    result.peak_bytes = static_cast<int64_t>(usage.ru_maxrss) * 1024;
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    return result;
  }

 private:
  void close_input() {
    if (in_ >= 0) ::close(in_);
    in_ = -1;
  }

  ProgramOptions options_;
  pid_t child_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
};

}  // namespace dlm
