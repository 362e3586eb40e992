// Addresses of http and https, read by libcurl's own parser, so that what is judged here is what is
// then connected to.
#pragma once

#include <string>
#include <string_view>

namespace dlm {

struct Url {
  std::string text;  // whole, without a fragment
  std::string scheme;
  std::string host;
  std::string port;  // of the scheme where the address has none

  bool is_https() const { return scheme == "https"; }
  // Same scheme, host and port: who gets a secret may get it again.
  bool has_origin_of(const Url& other) const;
  // Without the query, in which signed addresses carry secrets.
  std::string shown() const;
};

// Throws Error(kNetwork) for anything else than an http or https address, and for one with a user
// name or password in it.
Url parse_url(std::string_view text);
// What `location` of a redirect from `from` leads to. Throws as parse_url().
Url resolve_url(const Url& from, std::string_view location);

// A path's text for an address: all but letters, digits and "-._~/" as %XX.
std::string escape_path(std::string_view path);

}  // namespace dlm
