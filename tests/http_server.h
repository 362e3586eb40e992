// A real HTTP server on loopback, on POSIX sockets and threads, whose every answer a test decides:
// also answers that end early, lie or never come.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace dlm {

struct HttpServerRequest {
  std::string method;
  std::string target;                          // path and query, as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct HttpServerReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;   // kept by the one who answers, as long as the server
  std::string text;        // or a body of its own
  int64_t cut_after = -1;  // bytes of the body; then the connection is closed
  bool hides_length = false;
  std::string_view bytes() const { return text.empty() ? body : std::string_view(text); }
};

class HttpServer {
 public:
  using Answer = std::function<HttpServerReply(const HttpServerRequest&)>;

  explicit HttpServer(Answer answer) : answer_(std::move(answer)) {
    ::setenv("no_proxy", "127.0.0.1,localhost", 1);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no server");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~HttpServer() {
    ends_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    {
      const std::lock_guard lock(mutex_);
      for (const int connection : open_) ::shutdown(connection, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return port_; }
  std::string url(const std::string& host = "127.0.0.1") const {
    return "http://" + host + ":" + std::to_string(port_);
  }
  std::vector<HttpServerRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  size_t num_requests() const { return requests().size(); }

 private:
  void accept_all() {
    while (!ends_) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      const int on = 1;
      ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      const std::lock_guard lock(mutex_);
      open_.push_back(connection);
      threads_.emplace_back([this, connection] {
        serve(connection);
        const std::lock_guard closing(mutex_);
        std::erase(open_, connection);
        ::close(connection);
      });
    }
  }

  void serve(int connection) {
    std::string input;
    while (!ends_) {
      size_t end = 0;
      while ((end = input.find("\r\n\r\n")) == input.npos) {
        char buffer[4096];
        const ssize_t n = ::recv(connection, buffer, sizeof(buffer), 0);
        if (n <= 0) return;
        input.append(buffer, static_cast<size_t>(n));
      }
      const HttpServerRequest request = parse(input.substr(0, end + 2));
      input.erase(0, end + 4);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      if (!send_reply(connection, request, answer_(request))) return;
    }
  }

  static HttpServerRequest parse(const std::string& head) {
    HttpServerRequest request;
    const size_t first = head.find(' '), second = head.find(' ', first + 1);
    request.method = head.substr(0, first);
    request.target = head.substr(first + 1, second - first - 1);
    size_t at = head.find("\r\n") + 2;
    for (size_t end; (end = head.find("\r\n", at)) != head.npos; at = end + 2) {
      const size_t colon = head.find(':', at);
      if (colon == head.npos || colon > end) continue;
      std::string name = head.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      const size_t value = head.find_first_not_of(' ', colon + 1);
      request.headers[name] = head.substr(value, end - value);
    }
    return request;
  }

  // False when the connection has to end.
  static bool send_reply(int connection, const HttpServerRequest& request,
                         const HttpServerReply& reply) {
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Said\r\n";
    bool has_length = reply.hides_length;
    for (const auto& [name, value] : reply.headers) {
      head += name + ": " + value + "\r\n";
      has_length = has_length || name == "Content-Length";
    }
    if (!has_length) head += "Content-Length: " + std::to_string(reply.bytes().size()) + "\r\n";
    if (reply.hides_length) head += "Connection: close\r\n";
    head += "\r\n";
    if (!send_all(connection, head)) return false;
    if (request.method == "HEAD") return true;
    std::string_view body = reply.bytes();
    if (reply.cut_after >= 0) {
      send_all(connection, body.substr(0, static_cast<size_t>(reply.cut_after)));
      return false;
    }
    return send_all(connection, body) && !reply.hides_length;
  }

  static bool send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  Answer answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ends_{false};
  mutable std::mutex mutex_;
  std::vector<int> open_;
  std::vector<HttpServerRequest> requests_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// Answers with the part of `body` that a Range asks for, unless If-Range names another tag.
inline HttpServerReply part_of(std::string_view body, const HttpServerRequest& request,
                               const std::string& tag = "") {
  HttpServerReply reply;
  reply.body = body;
  reply.headers = {{"Accept-Ranges", "bytes"}, {"Content-Type", "application/octet-stream"}};
  if (!tag.empty()) reply.headers.emplace_back("ETag", "\"" + tag + "\"");
  const std::string range = request.header("range");
  const std::string wanted = request.header("if-range");
  if (!range.starts_with("bytes=") || (!wanted.empty() && wanted != "\"" + tag + "\"")) {
    return reply;
  }
  const size_t begin = std::stoull(range.substr(6));
  if (begin >= body.size()) {
    reply.status = 416;
    reply.body = {};
    return reply;
  }
  reply.status = 206;
  reply.body = body.substr(begin);
  reply.headers.emplace_back("Content-Range", "bytes " + std::to_string(begin) + "-" +
                                                  std::to_string(body.size() - 1) + "/" +
                                                  std::to_string(body.size()));
  return reply;
}

}  // namespace dlm
