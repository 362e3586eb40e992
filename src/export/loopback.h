// Just enough HTTP to ask a server that this program started on this machine one question.
#pragma once

#include <optional>
#include <string>

namespace dlm {

// A free port of the loopback interface, as of now.
int free_loopback_port();

struct LoopbackAnswer {
  int status = 0;
  std::string body;
};

// One request to 127.0.0.1; none when nobody answers in time. `body` empty: GET, else POST of JSON.
std::optional<LoopbackAnswer> ask_loopback(int port, const std::string& path,
                                           const std::string& body, int timeout_seconds);

}  // namespace dlm
