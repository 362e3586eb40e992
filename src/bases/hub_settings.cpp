#include "bases/hub_settings.h"

#include <algorithm>
#include <cstdlib>

#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

using Variables = std::function<const char*(const char*)>;

// "" for a variable that is not set.
std::string value_of(const Variables& variable, const char* name) {
  const char* value = variable(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool is_true(const Variables& variable, const char* name) {
  const std::string value = lower_ascii(value_of(variable, name));
  return value == "1" || value == "on" || value == "yes" || value == "true";
}

// With a leading ~ and $NAME or ${NAME} replaced; names that are not set stay as they are.
fs::path expanded(const Variables& variable, std::string_view text) {
  std::string path;
  if (text == "~" || text.starts_with("~/")) {
    path = value_of(variable, "HOME");
    text.remove_prefix(1);
  }
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    path += text.substr(0, dollar);
    if (dollar == text.npos) break;
    text.remove_prefix(dollar);
    const bool is_braced = text.size() > 1 && text[1] == '{';
    const size_t begin = is_braced ? 2 : 1;
    size_t end = begin;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) {
      ++end;
    }
    const std::string name(text.substr(begin, end - begin));
    const bool is_closed = !is_braced || (end < text.size() && text[end] == '}');
    const char* value = name.empty() || !is_closed ? nullptr : variable(name.c_str());
    if (is_braced && is_closed) ++end;
    path += value != nullptr ? std::string_view(value) : text.substr(0, end);
    text.remove_prefix(end);
  }
  return path;
}

fs::path home_of_hub(const Variables& variable) {
  if (const std::string own = value_of(variable, "HF_HOME"); !own.empty()) {
    return expanded(variable, own);
  }
  std::string cache = value_of(variable, "XDG_CACHE_HOME");
  if (cache.empty()) {
    if (value_of(variable, "HOME").empty()) return {};
    cache = "~/.cache";
  }
  return expanded(variable, cache) / "huggingface";
}

std::string read_token(const Variables& variable) {
  std::string token;
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (token.empty()) token = trim(value_of(variable, name));
  }
  if (token.empty() && !is_true(variable, "HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
    const std::string named = value_of(variable, "HF_TOKEN_PATH");
    const fs::path home = home_of_hub(variable);
    const fs::path path = named.empty() ? home / "token" : expanded(variable, named);
    if (!(named.empty() && home.empty()) && path_exists(path)) {
      token = trim(read_file(path, 4096));
    }
  }
  // It becomes part of a header line.
  const bool is_word =
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
  if (!is_word) {
    throw Error(ErrorKind::kUsage, "the token of the hub is no word",
                "HF_TOKEN holds letters and digits only, as the hub's settings page shows it");
  }
  return token;
}

}  // namespace

fs::path hub_cache_folder(const Variables& variable) {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    const std::string own = value_of(variable, name);
    if (!own.empty()) return expanded(variable, own);
  }
  const fs::path home = home_of_hub(variable);
  return home.empty() ? home : home / "hub";
}

HubSettings HubSettings::from(const Variables& variable) {
  HubSettings settings;
  std::string endpoint = value_of(variable, "HF_ENDPOINT");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (!endpoint.empty()) settings.endpoint = endpoint;
  settings.cache = hub_cache_folder(variable);
  settings.token = read_token(variable);
  settings.is_offline =
      is_true(variable, "HF_HUB_OFFLINE") || is_true(variable, "TRANSFORMERS_OFFLINE");
  settings.ca_file = value_of(variable, "SSL_CERT_FILE");
  return settings;
}

HubSettings HubSettings::of_process() {
  return from([](const char* name) { return std::getenv(name); });
}

}  // namespace dlm
