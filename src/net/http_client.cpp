// What is asked, tried again and gone on with. One request on the wire is http_exchange.cpp's.
#include "net/http_client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "net/curl_library.h"
#include "net/http_exchange.h"
#include "support/clock.h"
#include "support/error.h"

namespace dlm {
namespace {

// An address that cannot be reached at all is tried less often than a connection that breaks.
constexpr int kMaxConnectAttempts = 2;
constexpr int64_t kWaitStepMs = 50;

std::string_view value_of(const HttpResponse::Headers& headers, std::string_view name) {
  for (auto it = headers.rbegin(); it != headers.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return {};
}

template <typename Number>
bool parse_number(std::string_view text, Number& number) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && problem == std::errc() && end == text.data() + text.size();
}

// "bytes 5-9/10": the first byte and the size of the whole; false for anything else.
bool parse_content_range(std::string_view text, uint64_t& begin, uint64_t& size) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return false;
  text.remove_prefix(kUnit.size());
  const size_t hyphen = text.find('-'), slash = text.find('/');
  return hyphen != text.npos && slash != text.npos && hyphen < slash &&
         parse_number(text.substr(0, hyphen), begin) && parse_number(text.substr(slash + 1), size);
}

[[noreturn]] void fail_size(const HttpResponse& response, uint64_t wanted, std::string_view found) {
  const bool is_page = response.header("content-type").starts_with("text/html");
  throw Error(ErrorKind::kNetwork,
              response.url.shown() + " has " + std::string(found) + " bytes, not the " +
                  std::to_string(wanted) + " that were announced",
              is_page ? "it answers with a web page: is there a login or a proxy in between?"
                      : "the server is at fault or its file has changed: try again later");
}

// Where the body of `response` begins must be where the target ends.
void check_part(const HttpResponse& response, HttpTarget& target, uint64_t size) {
  if (const auto encoding = response.header("content-encoding");
      !encoding.empty() && encoding != "identity") {
    throw Error(ErrorKind::kNetwork,
                response.url.shown() + " is sent in the encoding " + std::string(encoding),
                "a proxy in between may do that: fetch without it");
  }
  if (response.status == 206) {
    uint64_t begin = 0, whole = 0;
    const auto range = response.header("content-range");
    if (!parse_content_range(range, begin, whole) || begin != target.size()) {
      throw Error(ErrorKind::kNetwork,
                  response.url.shown() + " sends another part than was asked for (\"" +
                      std::string(range) + "\")",
                  "the server is at fault: try again later, or another mirror");
    }
    if (whole != size) fail_size(response, size, std::to_string(whole));
    return;
  }
  uint64_t length = 0;
  const auto announced = response.header("content-length");
  if (parse_number(announced, length) && length != size) fail_size(response, size, announced);
  if (target.size() > 0) target.restart();
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  return value_of(headers, name);
}

std::string_view HttpResponse::first_header(std::string_view name) const {
  return value_of(first_headers, name);
}

bool is_temporary(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

HttpClient::HttpClient(HttpOptions options)
    : options_(std::move(options)), wire_(std::make_unique<HttpWire>(options_)) {}
HttpClient::~HttpClient() = default;

HttpResponse HttpClient::get(std::string_view url) {
  return ask(url, false);
}

HttpResponse HttpClient::head(std::string_view url) {
  return ask(url, true);
}

HttpResponse HttpClient::ask(std::string_view url, bool is_head) {
  for (int attempt = 1;; ++attempt) {
    HttpExchange exchange;
    exchange.url = parse_url(url);
    exchange.is_head = is_head;
    exchange.max_text_bytes = options_.limits.max_text_bytes;
    wire_->perform(exchange);
    if (exchange.is_whole() && !is_temporary(exchange.response.status)) {
      return std::move(exchange.response);
    }
    if (!wait_to_retry(attempt, exchange)) return std::move(exchange.response);
  }
}

HttpResponse HttpClient::fetch(std::string_view url, HttpTarget& target, uint64_t size) {
  uint64_t farthest = target.size();
  std::string strong_tag;
  if (target.size() > size) target.restart();
  for (int attempt = 1; target.size() < size; ++attempt) {
    HttpExchange exchange;
    exchange.url = parse_url(url);
    exchange.range_begin = target.size();
    exchange.if_range = strong_tag;
    exchange.max_text_bytes = size_t{64} << 10;  // of a page that says what is wrong
    bool is_part = false;
    exchange.on_head = [&](const HttpResponse& response) {
      is_part = response.status == 200 || response.status == 206;
      if (!is_part) return false;
      check_part(response, target, size);
      const auto tag = response.header("etag");
      strong_tag = tag.starts_with('"') ? tag : "";
      return true;
    };
    exchange.on_body = [&](std::span<const std::byte> bytes) {
      if (bytes.size() > size - target.size()) fail_size(exchange.response, size, "more");
      target.write(bytes);
    };
    wire_->perform(exchange);
    if (target.size() == size) return std::move(exchange.response);
    if (exchange.is_whole() && exchange.response.status == 416) {
      // What is there lies beyond the end of what the server has.
      target.restart();
      strong_tag.clear();
    } else if (exchange.is_whole() && !is_part && !is_temporary(exchange.response.status)) {
      return std::move(exchange.response);
    }
    if (exchange.is_whole() && is_part) exchange.failure = "the body ended too early";
    if (target.size() > farthest) {
      farthest = target.size();
      attempt = 1;
    }
    if (!wait_to_retry(attempt, exchange)) return std::move(exchange.response);
  }
  return {};
}

bool HttpClient::wait_to_retry(int attempts, const HttpExchange& exchange) {
  const HttpLimits& limits = options_.limits;
  const int max_attempts = exchange.is_unreachable
                               ? std::min(kMaxConnectAttempts, limits.max_attempts)
                               : limits.max_attempts;
  if (attempts >= max_attempts) {
    if (exchange.is_whole()) return false;
    throw Error(ErrorKind::kNetwork, exchange.failure, exchange.hint);
  }
  const std::string_view asked = exchange.response.header("retry-after");
  int64_t delay = limits.first_delay_ms << std::min(attempts - 1, 4);
  if (exchange.is_whole() && !asked.empty()) {
    int64_t seconds = 0;
    if (!parse_number(asked, seconds)) {
      const auto until = curl_library().getdate(std::string(asked).c_str(), nullptr);
      if (until >= 0) seconds = int64_t{until} - system_clock().unix_seconds();
    }
    if (seconds > limits.max_retry_after_ms / 1000) {
      throw Error(ErrorKind::kNetwork,
                  exchange.response.url.shown() + " answers " +
                      std::to_string(exchange.response.status) + " and asks to wait " +
                      std::to_string(seconds) + " seconds",
                  "run the command again then; what was fetched is kept");
    }
    delay = std::max<int64_t>(seconds, 0) * 1000;
  }
  wait(delay);
  return true;
}

void HttpClient::wait(int64_t milliseconds) {
  const auto check_stopped = [&] {
    if (options_.should_stop && options_.should_stop()) {
      throw Error(ErrorKind::kInterrupted, "interrupted");
    }
  };
  check_stopped();
  if (options_.wait) return options_.wait(milliseconds);
  for (int64_t left = milliseconds; left > 0; left -= kWaitStepMs) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(left, kWaitStepMs)));
    check_stopped();
  }
}

}  // namespace dlm
