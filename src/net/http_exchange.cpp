// libcurl's easy interface. Redirects are followed here and not by libcurl: each one is judged
// first, and the token goes to its own origin only. Nothing is thrown through libcurl: callbacks
// keep the exception and stop the transfer.
#include "net/http_exchange.h"

#include <charconv>

#include "net/curl_library.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

// libcurl's largest; larger pieces cost fewer calls.
constexpr long kBufferBytes = 512L << 10;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// What the code means to a person. Empty hints stand for faults that pass.
void describe(CURLcode code, const char* detail, HttpExchange& exchange) {
  const std::string& host = exchange.url.host;
  constexpr const char* kOnline = "is this machine online, and is a proxy needed (HTTPS_PROXY)?";
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      exchange.failure = "cannot find the host " + host;
      exchange.hint = kOnline;
      exchange.is_unreachable = true;
      return;
    case CURLE_COULDNT_RESOLVE_PROXY:
      exchange.failure = "cannot find the proxy";
      exchange.hint = "check the environment: http_proxy, HTTPS_PROXY, ALL_PROXY";
      exchange.is_unreachable = true;
      return;
    case CURLE_COULDNT_CONNECT:
      exchange.failure = "cannot connect to " + host + " at port " + exchange.url.port;
      exchange.hint = kOnline;
      exchange.is_unreachable = true;
      return;
    case CURLE_OPERATION_TIMEDOUT:
      exchange.failure = host + " does not answer, or stopped sending";
      exchange.hint = "try again later; what was fetched is kept";
      return;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      throw Error(ErrorKind::kNetwork,
                  "the certificate of " + host + " cannot be verified: " + detail,
                  "is the package ca-certificates installed? Certificates of a proxy are named by "
                  "SSL_CERT_FILE");
    default:
      exchange.failure = "the connection to " + host +
                         " broke: " + (*detail != '\0' ? detail : "error " + std::to_string(code));
      exchange.hint = "try again later; what was fetched is kept";
  }
}

}  // namespace

// The state of one request, for libcurl's callbacks.
class HttpWire::Hop {
 public:
  Hop(HttpExchange& exchange, const HttpOptions& options)
      : exchange_(exchange), options_(options) {}

  static size_t on_header_line(char* data, size_t, size_t size, void* self) {
    return static_cast<Hop*>(self)->guarded([&](Hop& hop) { hop.take_line({data, size}); }, size);
  }
  static size_t on_bytes(char* data, size_t, size_t size, void* self) {
    return static_cast<Hop*>(self)->guarded(
        [&](Hop& hop) { hop.take_bytes(std::as_bytes(std::span(data, size))); }, size);
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Hop*>(self)->is_stopped() ? 1 : 0;
  }

  bool is_stopped() const { return options_.should_stop && options_.should_stop(); }
  // Of the callbacks.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }
  // Judges an answer without a body too.
  void finish_head() {
    if (has_head_) return;
    has_head_ = true;
    exchange_.response.status = status_;
    exchange_.response.url = exchange_.url;
    exchange_.response.headers = std::move(headers_);
    if (is_redirect(status_)) return;
    takes_body_ = exchange_.on_head && exchange_.on_head(exchange_.response);
  }

 private:
  template <typename Work>
  size_t guarded(Work work, size_t size) {
    try {
      work(*this);
      return size;
    } catch (...) {
      error_ = std::current_exception();
      return 0;
    }
  }

  // "HTTP/1.1 200 OK" begins another head: of the answer itself after one of status 100.
  void take_line(std::string_view line) {
    header_bytes_ += line.size();
    if (header_bytes_ > options_.limits.max_header_bytes) {
      throw Error(ErrorKind::kNetwork,
                  exchange_.url.shown() + " answers with headers of more than " +
                      std::to_string(options_.limits.max_header_bytes) + " bytes",
                  "the server is at fault");
    }
    if (line.starts_with("HTTP/")) {
      headers_.clear();
      const size_t blank = line.find(' ');
      status_ = 0;
      if (blank != line.npos) {
        std::from_chars(line.data() + blank + 1, line.data() + line.size(), status_);
      }
      return;
    }
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    headers_.emplace_back(lower_ascii(line.substr(0, colon)),
                          std::string(trim(line.substr(colon + 1))));
  }

  void take_bytes(std::span<const std::byte> bytes) {
    finish_head();
    if (takes_body_) return exchange_.on_body(bytes);
    std::string& body = exchange_.response.body;
    if (bytes.size() > exchange_.max_text_bytes - body.size()) {
      if (exchange_.on_body) return;  // only the beginning of a page that says what is wrong
      throw Error(ErrorKind::kNetwork,
                  exchange_.url.shown() + " answers with more than " +
                      std::to_string(exchange_.max_text_bytes) + " bytes",
                  "is this the address of a model hub?");
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  HttpExchange& exchange_;
  const HttpOptions& options_;
  HttpResponse::Headers headers_;
  std::exception_ptr error_;
  size_t header_bytes_ = 0;
  int status_ = 0;
  bool has_head_ = false;
  bool takes_body_ = false;
};

HttpWire::HttpWire(const HttpOptions& options)
    : options_(options), handle_(curl_library().easy_init()) {
  check(handle_ != nullptr, "libcurl gives no handle");
  if (!options.bearer_token.empty()) bearer_origin_ = parse_url(options.bearer_origin);
}

HttpWire::~HttpWire() {
  curl_library().easy_cleanup(handle_);
}

void HttpWire::perform(HttpExchange& exchange) {
  for (int redirects = 0;; ++redirects) {
    Hop hop(exchange, options_);
    exchange.response = {};
    perform_hop(exchange, hop);
    if (!exchange.is_whole()) return;
    HttpResponse& response = exchange.response;
    if (redirects == 0) first_headers_ = response.headers;
    if (!is_redirect(response.status)) {
      response.first_headers = std::move(first_headers_);
      return;
    }
    const std::string_view location = response.header("location");
    if (location.empty()) {
      throw Error(ErrorKind::kNetwork, exchange.url.shown() + " redirects without saying where to",
                  "the server is at fault");
    }
    if (redirects == options_.limits.max_redirects) {
      throw Error(ErrorKind::kNetwork,
                  "more than " + std::to_string(options_.limits.max_redirects) +
                      " redirects, the last to " + exchange.url.shown(),
                  "the server is at fault, or the address is none of a model hub");
    }
    const Url next = resolve_url(exchange.url, location);
    if (exchange.url.is_https() && !next.is_https()) {
      throw Error(ErrorKind::kNetwork,
                  exchange.url.shown() + " redirects from https to " + next.shown(),
                  "what follows could be read and changed on its way; the server is at fault");
    }
    exchange.url = next;
  }
}

std::vector<std::string> HttpWire::header_lines(const HttpExchange& exchange) const {
  std::vector<std::string> lines = {"Accept-Encoding: identity"};
  if (!options_.bearer_token.empty() && exchange.url.has_origin_of(bearer_origin_)) {
    lines.push_back("Authorization: Bearer " + options_.bearer_token);
  }
  if (exchange.range_begin > 0) {
    lines.push_back("Range: bytes=" + std::to_string(exchange.range_begin) + "-");
    if (!exchange.if_range.empty()) lines.push_back("If-Range: " + exchange.if_range);
  }
  return lines;
}

void HttpWire::perform_hop(HttpExchange& exchange, Hop& hop) {
  const CurlLibrary& curl = curl_library();
  if (hop.is_stopped()) throw Error(ErrorKind::kInterrupted, "interrupted");
  curl.easy_reset(handle_);
  char detail[CURL_ERROR_SIZE] = {};
  const auto set = [&](CURLoption option, auto value) {
    check(curl.easy_setopt(handle_, option, value) == CURLE_OK, "libcurl refuses an option");
  };
  set(CURLOPT_URL, exchange.url.text.c_str());
  set(CURLOPT_ERRORBUFFER, detail);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOBODY, exchange.is_head ? 1L : 0L);
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.limits.connect_timeout_ms));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.limits.stall_timeout_s));
  set(CURLOPT_BUFFERSIZE, kBufferBytes);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_HEADERFUNCTION, &Hop::on_header_line);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&hop));
  set(CURLOPT_WRITEFUNCTION, &Hop::on_bytes);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&hop));
  set(CURLOPT_XFERINFOFUNCTION, &Hop::on_progress);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(&hop));
  set(CURLOPT_NOPROGRESS, 0L);
  if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
  curl_slist* lines = nullptr;
  for (const std::string& line : header_lines(exchange)) {
    lines = curl.slist_append(lines, line.c_str());
  }
  set(CURLOPT_HTTPHEADER, lines);
  const CURLcode code = curl.easy_perform(handle_);
  curl.slist_free_all(lines);
  hop.rethrow();
  if (code == CURLE_ABORTED_BY_CALLBACK) throw Error(ErrorKind::kInterrupted, "interrupted");
  if (code != CURLE_OK) return describe(code, detail, exchange);
  hop.finish_head();
}

}  // namespace dlm
