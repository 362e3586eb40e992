// One pass: most bytes cost one look into a table, which says whether a token could begin there or
// an assignment could stand there.
#include "data/secret_scan.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "support/text.h"

namespace dlm {

namespace {

constexpr bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_word(char c) {
  return is_alnum(c) || c == '_' || c == '-';
}
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// Tokens that begin with fixed letters, and how many characters of a word follow at least.
struct TokenForm {
  std::string_view prefix;
  size_t min_length;
  SecretKind kind;
  bool is_random;  // the rest must look random: the prefix also begins common words
};

constexpr std::array kTokenForms = {
    TokenForm{"AKIA", 16, SecretKind::kAwsKey, false},
    TokenForm{"ASIA", 16, SecretKind::kAwsKey, false},
    TokenForm{"ghp_", 36, SecretKind::kGithubToken, false},
    TokenForm{"gho_", 36, SecretKind::kGithubToken, false},
    TokenForm{"ghu_", 36, SecretKind::kGithubToken, false},
    TokenForm{"ghs_", 36, SecretKind::kGithubToken, false},
    TokenForm{"ghr_", 36, SecretKind::kGithubToken, false},
    TokenForm{"github_pat_", 22, SecretKind::kGithubToken, false},
    TokenForm{"glpat-", 20, SecretKind::kGitlabToken, false},
    TokenForm{"xoxa-", 10, SecretKind::kSlackToken, true},
    TokenForm{"xoxb-", 10, SecretKind::kSlackToken, true},
    TokenForm{"xoxp-", 10, SecretKind::kSlackToken, true},
    TokenForm{"xoxr-", 10, SecretKind::kSlackToken, true},
    TokenForm{"xoxs-", 10, SecretKind::kSlackToken, true},
    TokenForm{"AIza", 35, SecretKind::kGoogleKey, false},
    TokenForm{"sk-", 20, SecretKind::kApiKey, true},
    TokenForm{"sk_live_", 16, SecretKind::kApiKey, true},
    TokenForm{"rk_live_", 16, SecretKind::kApiKey, true},
    TokenForm{"hf_", 30, SecretKind::kHubToken, true},
    TokenForm{"npm_", 36, SecretKind::kHubToken, true},
};

constexpr std::array<std::string_view, 11> kSecretNames = {
    "password", "passwd",     "passphrase",  "secret",     "token",     "api_key",
    "apikey",   "access_key", "private_key", "auth_token", "client_key"};

// Random values hold no blanks, and nothing that expressions and templates are written with.
constexpr std::string_view kNotInValues = " \t\n()[]{}<>$\\.,:";

// Bits per character of the text's own distribution of characters.
double entropy(std::string_view text) {
  std::array<int, 256> counts{};
  for (const char c : text) ++counts[static_cast<unsigned char>(c)];
  double bits = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    const double p = static_cast<double>(count) / static_cast<double>(text.size());
    bits -= p * std::log2(p);
  }
  return bits;
}

bool is_placeholder(std::string_view value) {
  const std::string lower = lower_ascii(value);
  for (const char* word : {"example", "placeholder", "changeme", "change_me", "your", "dummy",
                           "xxxx", "0123456789", "1234567890", "abcdefgh", "redacted"}) {
    if (lower.find(word) != std::string::npos) return true;
  }
  return false;
}

// Letters and digits in no order that a word or an identifier has.
bool is_random(std::string_view value) {
  const bool has_digit = std::any_of(value.begin(), value.end(), is_digit);
  const bool has_letter =
      std::any_of(value.begin(), value.end(), [](char c) { return is_alnum(c) && !is_digit(c); });
  // Text of 16 different characters has 4 bits; hexadecimal digits have less.
  constexpr double kMinBits = 3.2;
  return has_digit && has_letter && !is_placeholder(value) && entropy(value) >= kMinBits;
}

class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {}

  std::optional<SecretFinding> run() {
    for (size_t i = 0; i < text_.size(); ++i) {
      const char c = text_[i];
      switch (kLooks[static_cast<unsigned char>(c)]) {
        case Look::kNone:
          break;
        case Look::kToken:
          if (i > 0 && is_word(text_[i - 1])) break;
          if (const auto kind = token_at(i)) return finding(*kind, i);
          break;
        case Look::kAssignment:
          if (c == ':' && text_.substr(i, 3) == "://") {
            if (has_url_password(i + 3)) return finding(SecretKind::kUrlPassword, i);
          } else if (is_password_assigned(i)) {
            return finding(SecretKind::kPassword, i);
          }
          break;
        case Look::kDashes:
          if (i > 0 && text_[i - 1] == '-') break;
          if (is_private_key(i)) return finding(SecretKind::kPrivateKey, i);
          break;
      }
    }
    return std::nullopt;
  }

 private:
  enum class Look : uint8_t { kNone, kToken, kAssignment, kDashes };

  static constexpr std::array<Look, 256> make_looks() {
    std::array<Look, 256> looks{};
    for (const TokenForm& form : kTokenForms) {
      looks[static_cast<unsigned char>(form.prefix[0])] = Look::kToken;
    }
    looks['e'] = Look::kToken;  // JSON web tokens
    looks[':'] = looks['='] = Look::kAssignment;
    looks['-'] = Look::kDashes;
    return looks;
  }
  static const std::array<Look, 256> kLooks;

  SecretFinding finding(SecretKind kind, size_t at) const {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(at);
    return {kind, 1 + std::count(text_.begin(), end, '\n')};
  }

  // The run of characters of a word from `at` on.
  std::string_view word_at(size_t at) const {
    constexpr size_t kLongest = 4096;
    size_t end = at;
    while (end < text_.size() && end - at < kLongest && is_word(text_[end])) ++end;
    return text_.substr(at, end - at);
  }

  std::optional<SecretKind> token_at(size_t at) const {
    const std::string_view rest = text_.substr(at);
    if (rest.starts_with("eyJ")) return json_web_token_at(at);
    for (const TokenForm& form : kTokenForms) {
      if (!rest.starts_with(form.prefix)) continue;
      const std::string_view word = word_at(at + form.prefix.size());
      if (word.size() < form.min_length) return std::nullopt;
      if (form.kind == SecretKind::kAwsKey) {
        const bool is_upper = std::all_of(
            word.begin(), word.end(), [](char c) { return is_digit(c) || (c >= 'A' && c <= 'Z'); });
        if (!is_upper || word.size() != form.min_length) return std::nullopt;
      }
      const bool is_secret = form.is_random ? is_random(word) : !is_placeholder(word);
      return is_secret ? std::optional(form.kind) : std::nullopt;
    }
    return std::nullopt;
  }

  // Three parts of base64url with dots between; the first two begin as JSON objects do.
  std::optional<SecretKind> json_web_token_at(size_t at) const {
    constexpr size_t kMinPart = 10;
    for (int part = 0; part < 3; ++part) {
      const std::string_view word = word_at(at);
      if (word.size() < kMinPart || (part == 1 && !word.starts_with("eyJ"))) return std::nullopt;
      at += word.size();
      if (part < 2 && (at >= text_.size() || text_[at++] != '.')) return std::nullopt;
    }
    return SecretKind::kJsonWebToken;
  }

  bool is_private_key(size_t at) const {
    if (!text_.substr(at).starts_with("-----BEGIN ")) return false;
    const std::string_view line = text_.substr(at, std::min(text_.find('\n', at), at + 80) - at);
    const size_t words = line.find("PRIVATE KEY");
    if (words == std::string_view::npos) return false;
    // A line alone is how people write about keys.
    constexpr size_t kMinKey = 40;
    constexpr size_t kMaxKey = 16384;
    const size_t end = text_.substr(at, kMaxKey).find("-----END ");
    return end != std::string_view::npos && end > line.size() + kMinKey;
  }

  // user:password@ behind "://".
  bool has_url_password(size_t at) const {
    const std::string_view rest = text_.substr(at, 256);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/ \t\n\"'<>`"));
    const size_t end = authority.rfind('@');
    const size_t colon = authority.find(':');
    if (end == std::string_view::npos || colon == std::string_view::npos || colon > end) {
      return false;
    }
    const std::string_view password = authority.substr(colon + 1, end - colon - 1);
    return password.size() >= 8 && password.find_first_of("${}[]()*%") == std::string_view::npos &&
           is_random_password(password);
  }

  static bool is_random_password(std::string_view password) {
    // Short ones have few bits for their few characters.
    constexpr double kMinBits = 2.7;
    return std::any_of(password.begin(), password.end(), is_digit) && !is_placeholder(password) &&
           entropy(password) >= kMinBits;
  }

  // NAME = VALUE, NAME: "VALUE", with the '=' or ':' at `at`.
  bool is_password_assigned(size_t at) const {
    constexpr size_t kMaxLook = 64;  // in each direction, so that no text takes quadratic time
    // Most values end soon, so they are looked at before the name.
    size_t value = at + 1;
    const size_t last = std::min(text_.size(), at + kMaxLook);
    while (value < last && (is_blank(text_[value]) || text_[value] == '>')) ++value;
    if (value >= last) return false;
    const char quote = text_[value];
    const bool is_quoted = quote == '"' || quote == '\'' || quote == '`';
    const std::string_view rest = text_.substr(value, 512);
    const size_t min_length = is_quoted ? 12 : 16;
    for (size_t i = is_quoted ? 1 : 0; i < min_length; ++i) {
      if (i >= rest.size() || kNotInValues.find(rest[i]) != std::string_view::npos) return false;
    }
    const size_t first = at > kMaxLook ? at - kMaxLook : 0;
    size_t end = at;
    while (end > first && (is_blank(text_[end - 1]) || text_[end - 1] == ':')) --end;
    while (end > first && (text_[end - 1] == '"' || text_[end - 1] == '\'')) --end;
    size_t begin = end;
    while (begin > first && is_word(text_[begin - 1])) --begin;
    if (end - begin < 5) return false;
    std::string name = lower_ascii(text_.substr(begin, end - begin));
    std::replace(name.begin(), name.end(), '-', '_');
    const bool is_named =
        std::any_of(kSecretNames.begin(), kSecretNames.end(),
                    [&](std::string_view word) { return name.find(word) != std::string::npos; });
    if (!is_named) return false;
    const size_t close = is_quoted ? rest.find(quote, 1) : rest.find_first_of(" \t\n,;#");
    if (is_quoted && close == std::string_view::npos) return false;
    return is_random_value(is_quoted ? rest.substr(1, close - 1) : rest.substr(0, close),
                           min_length);
  }

  static bool is_random_value(std::string_view value, size_t min_length) {
    return value.size() >= min_length &&
           value.find_first_of(kNotInValues) == std::string_view::npos && is_random(value);
  }

  std::string_view text_;
};

const std::array<Scan::Look, 256> Scan::kLooks = Scan::make_looks();

}  // namespace

const char* secret_words(SecretKind kind) {
  constexpr std::array<const char*, kNumSecretKinds> kWords = {
      "a private key",    "an AWS access key", "a GitHub token",      "a GitLab token",
      "a Slack token",    "a Google API key",  "a service's API key", "a package hub's token",
      "a JSON web token", "a password or key", "a password in a URL"};
  return kWords[static_cast<size_t>(kind)];
}

std::optional<SecretFinding> find_secret(std::string_view text) {
  return Scan(text).run();
}

}  // namespace dlm
