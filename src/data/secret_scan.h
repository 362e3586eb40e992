// Finds text that looks like a secret: private keys, tokens of well-known services, passwords and
// keys that are assigned a random value. It tells where and of what kind, never the text itself.
// Words that merely name secrets, placeholders and documented examples are not reported.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dlm {

enum class SecretKind : uint8_t {
  kPrivateKey,
  kAwsKey,
  kGithubToken,
  kGitlabToken,
  kSlackToken,
  kGoogleKey,
  kApiKey,
  kHubToken,
  kJsonWebToken,
  kPassword,
  kUrlPassword,
};

inline constexpr int kNumSecretKinds = 11;

// "a private key", "an AWS access key", …
const char* secret_words(SecretKind kind);

struct SecretFinding {
  SecretKind kind;
  int64_t line = 1;  // LF ends a line
};

// The first finding, in one pass over the text.
std::optional<SecretFinding> find_secret(std::string_view text);

}  // namespace dlm
