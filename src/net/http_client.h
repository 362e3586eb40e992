// Fetching over HTTP and HTTPS: redirects, time-outs, sizes, proxies, retries and resuming, each
// with its limit, in this one place. Proxies come from the environment (http_proxy, HTTPS_PROXY,
// ALL_PROXY, NO_PROXY). No cookies, no passwords, no .netrc, no compressed bodies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/url.h"

namespace dlm {

struct HttpExchange;
class HttpWire;

struct HttpLimits {
  int max_redirects = 5;
  int64_t connect_timeout_ms = 15'000;
  int64_t stall_timeout_s = 30;  // less than a byte a second for so long
  size_t max_header_bytes = size_t{64} << 10;
  size_t max_text_bytes = size_t{32} << 20;  // of an answer that is kept in memory
  // In a row that brought nothing new. Their delays double, from the first to 16 times as long.
  int max_attempts = 5;
  int64_t first_delay_ms = 500;
  // A server may ask to wait longer than our delay, up to this; beyond it we give up and say so.
  int64_t max_retry_after_ms = 60'000;
};

struct HttpOptions {
  HttpLimits limits;
  std::string user_agent;
  // Sent as "Authorization: Bearer" to this address's origin, and to no other.
  std::string bearer_token;
  std::string bearer_origin;
  std::string ca_file;  // certificates to trust instead of the system's; empty: the system's
  std::function<bool()> should_stop;               // asked often; then Error(kInterrupted)
  std::function<void(int64_t milliseconds)> wait;  // empty: sleeps, and asks should_stop
};

struct HttpResponse {
  using Headers = std::vector<std::pair<std::string, std::string>>;  // names in lower case

  int status = 0;
  Url url;                // which answered, after redirects
  Headers headers;        // of the answer
  Headers first_headers;  // of the first hop, where a redirect may say more than its target
  std::string body;       // of get() alone

  // "" when it is absent; the last one where there are several.
  std::string_view header(std::string_view name) const;
  std::string_view first_header(std::string_view name) const;
};

// Where a body goes that is larger than memory.
class HttpTarget {
 public:
  virtual ~HttpTarget() = default;
  virtual uint64_t size() const = 0;  // bytes that are there already
  virtual void write(std::span<const std::byte> bytes) = 0;
  virtual void restart() = 0;  // what is there is of another body: forget it
};

// Not for two threads at once. Keeps its connection open between requests.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // The answer, whatever its status is, once it is none of those that ask to try again (408, 429
  // and 5xx, of which the last is given back after all attempts). Throws Error(kNetwork) when there
  // is no answer, or none within the limits.
  HttpResponse get(std::string_view url);
  HttpResponse head(std::string_view url);

  // Brings `target` to exactly `size` bytes, going on where it ends, through broken connections.
  // An answer of another status than 200 and 206 is given back without touching the target. Throws
  // Error(kNetwork), also when the server has another size, and what the target throws.
  HttpResponse fetch(std::string_view url, HttpTarget& target, uint64_t size);

 private:
  HttpResponse ask(std::string_view url, bool is_head);
  // Waits after this many attempts, as the answer asks or twice as long as the last time. False
  // when no more are due. Throws Error(kNetwork) then where there is no answer to give back.
  bool wait_to_retry(int attempts, const HttpExchange& exchange);
  void wait(int64_t milliseconds);

  HttpOptions options_;
  std::unique_ptr<HttpWire> wire_;
};

// Whether the status asks to try the same again later.
bool is_temporary(int status);

}  // namespace dlm
