#include "export/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "support/clock.h"
#include "support/error.h"
#include "support/interrupt.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr size_t kMaxAnswer = size_t{4} << 20;

class Socket {
 public:
  Socket() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (descriptor_ < 0) throw Error(ErrorKind::kIo, "cannot open a socket");
  }
  ~Socket() { ::close(descriptor_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The body of an answer in chunks (RFC 9112, section 7.1); what is broken is cut.
std::string unchunked(std::string_view text) {
  std::string body;
  while (true) {
    size_t size = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), size, 16);
    const size_t begin = text.find("\r\n");
    if (read.ec != std::errc() || begin == text.npos || size == 0) return body;
    text.remove_prefix(begin + 2);
    body += text.substr(0, size);
    if (text.size() < size + 2) return body;
    text.remove_prefix(size + 2);
  }
}

}  // namespace

int free_loopback_port() {
  const Socket socket;
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), any, size) != 0 || ::getsockname(socket.get(), any, &size) != 0) {
    throw Error(ErrorKind::kIo, "no free port on the loopback interface");
  }
  return ntohs(address.sin_port);
}

std::optional<LoopbackAnswer> ask_loopback(int port, const std::string& path,
                                           const std::string& body, int timeout_seconds) {
  const Socket socket;
  const sockaddr_in address = loopback(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return std::nullopt;
  }
  std::string request = (body.empty() ? "GET " : "POST ") + path +
                        " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
                        "\r\nConnection: close\r\n";
  if (!body.empty()) {
    request +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  request += "\r\n" + body;
  for (size_t sent = 0; sent < request.size();) {
    const ssize_t n =
        ::send(socket.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return std::nullopt;
    sent += static_cast<size_t>(n);
  }
  std::string text;
  const int64_t end = system_clock().monotonic_ns() + int64_t{timeout_seconds} * 1'000'000'000;
  while (text.size() < kMaxAnswer) {
    check_interrupted();
    if (system_clock().monotonic_ns() > end) return std::nullopt;
    pollfd wait{socket.get(), POLLIN, 0};
    if (::poll(&wait, 1, 100) <= 0) continue;
    std::array<char, 4096> buffer;
    const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  const size_t head_end = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.") || head_end == text.npos || text.size() < 12)
    return std::nullopt;
  LoopbackAnswer answer;
  std::from_chars(text.data() + 9, text.data() + 12, answer.status);
  const std::string head = lower_ascii(text.substr(0, head_end));
  answer.body = text.substr(head_end + 4);
  if (head.find("transfer-encoding: chunked") != head.npos) answer.body = unchunked(answer.body);
  return answer;
}

}  // namespace dlm
