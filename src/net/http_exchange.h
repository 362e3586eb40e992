// One request with its redirects, on the wire. What is tried again, and when, is HttpClient's.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include "net/http_client.h"

namespace dlm {

struct HttpExchange {
  Url url;
  bool is_head = false;
  uint64_t range_begin = 0;  // asks for the bytes from here on; 0: for all
  std::string if_range;      // but for all when the server's strong tag is another by now
  size_t max_text_bytes = 0;
  // Of the answer behind all redirects, before its body; true sends the body to on_body, else it
  // becomes response.body. Either may throw.
  std::function<bool(const HttpResponse&)> on_head;
  std::function<void(std::span<const std::byte>)> on_body;

  HttpResponse response;
  std::string failure;  // why there is no whole answer; it may be worth another attempt
  std::string hint;
  bool is_unreachable = false;  // no connection was made

  bool is_whole() const { return failure.empty(); }
};

class HttpWire {
 public:
  explicit HttpWire(const HttpOptions& options);
  ~HttpWire();
  HttpWire(const HttpWire&) = delete;
  HttpWire& operator=(const HttpWire&) = delete;

  // Throws Error(kNetwork) for what no further attempt can mend, Error(kInterrupted), and what the
  // exchange's functions throw; else fills response or failure.
  void perform(HttpExchange& exchange);

 private:
  class Hop;

  void perform_hop(HttpExchange& exchange, Hop& hop);
  std::vector<std::string> header_lines(const HttpExchange& exchange) const;

  const HttpOptions& options_;
  Url bearer_origin_;
  HttpResponse::Headers first_headers_;
  void* handle_;
};

}  // namespace dlm
