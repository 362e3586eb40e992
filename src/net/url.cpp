#include "net/url.h"

#include <memory>

#include "net/curl_library.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

class Parser {
 public:
  Parser() : url_(curl_library().url(), curl_library().url_cleanup) {
    check(url_ != nullptr, "no memory for an address");
  }

  // An address, or one relative to what was set before.
  void set(std::string_view text) {
    const std::string copy(text);
    constexpr unsigned kFlags = CURLU_DISALLOW_USER;
    if (copy.find('\0') != copy.npos ||
        curl_library().url_set(url_.get(), CURLUPART_URL, copy.c_str(), kFlags) != CURLUE_OK) {
      throw Error(ErrorKind::kNetwork, "\"" + copy.substr(0, copy.find('?')) + "\" is no address",
                  "an address begins with https:// and has no user name in it");
    }
  }

  std::string get(CURLUPart part, unsigned flags = 0) const {
    char* value = nullptr;
    if (curl_library().url_get(url_.get(), part, &value, flags) != CURLUE_OK) return {};
    std::string text = value;
    curl_library().free(value);
    return text;
  }

  Url parts() {
    curl_library().url_set(url_.get(), CURLUPART_FRAGMENT, nullptr, 0);
    Url url{get(CURLUPART_URL), get(CURLUPART_SCHEME), lower_ascii(get(CURLUPART_HOST)),
            get(CURLUPART_PORT, CURLU_DEFAULT_PORT)};
    if (url.scheme != "http" && url.scheme != "https") {
      throw Error(ErrorKind::kNetwork, "\"" + url.shown() + "\" is no address of http or https");
    }
    return url;
  }

 private:
  std::unique_ptr<CURLU, decltype(CurlLibrary::url_cleanup)> url_;
};

}  // namespace

bool Url::has_origin_of(const Url& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

std::string Url::shown() const {
  return text.substr(0, text.find('?'));
}

Url parse_url(std::string_view text) {
  Parser parser;
  parser.set(text);
  return parser.parts();
}

Url resolve_url(const Url& from, std::string_view location) {
  Parser parser;
  parser.set(from.text);
  parser.set(location);
  return parser.parts();
}

std::string escape_path(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
  std::string text;
  for (const char c : path) {
    if (kPlain.find(c) != kPlain.npos) {
      text += c;
      continue;
    }
    text += '%';
    text += "0123456789ABCDEF"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789ABCDEF"[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

}  // namespace dlm
