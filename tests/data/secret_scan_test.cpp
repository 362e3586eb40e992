// Samples are put together here, so that no scanner finds one in this file.
#include "data/secret_scan.h"

#include <gtest/gtest.h>

#include <string>

namespace dlm {
namespace {

std::optional<SecretKind> kind_in(const std::string& text) {
  const auto found = find_secret(text);
  return found ? std::optional(found->kind) : std::nullopt;
}

const std::string kRandom = "q7Zt3Kx9Vb2Nm5Ws8Rd4Yf6Hg1Jc0LpAeUiX";  // 36 characters

TEST(SecretScan, FindsTokensOfServices) {
  EXPECT_EQ(kind_in("id " + std::string("AKIA") + "Q3EGR7ZK2MB5XW4T"), SecretKind::kAwsKey);
  EXPECT_EQ(kind_in("gh" + ("p_" + kRandom)), SecretKind::kGithubToken);
  EXPECT_EQ(kind_in("github_" + ("pat_" + kRandom)), SecretKind::kGithubToken);
  EXPECT_EQ(kind_in("glp" + ("at-" + kRandom)), SecretKind::kGitlabToken);
  EXPECT_EQ(kind_in("xox" + ("b-" + kRandom)), SecretKind::kSlackToken);
  EXPECT_EQ(kind_in("AI" + ("za" + kRandom)), SecretKind::kGoogleKey);
  EXPECT_EQ(kind_in("(s" + ("k-" + kRandom) + ")"), SecretKind::kApiKey);
  EXPECT_EQ(kind_in("h" + ("f_" + kRandom)), SecretKind::kHubToken);
  EXPECT_EQ(kind_in(std::string("e") + "yJhbGciOiJIUzI1NiJ9.e" + "yJzdWIiOiIxMjM0In0." + kRandom),
            SecretKind::kJsonWebToken);
}

TEST(SecretScan, FindsPrivateKeysButNotTheirMention) {
  const std::string head = "-----BEGIN OPENSSH PRIVATE " + std::string("KEY-----\n");
  const std::string end = "-----END OPENSSH PRIVATE KEY-----\n";
  EXPECT_EQ(kind_in(head + kRandom + kRandom + "\n" + end), SecretKind::kPrivateKey);
  EXPECT_EQ(kind_in("It begins with " + head), std::nullopt);
  EXPECT_EQ(kind_in("-----BEGIN CERTIFICATE-----\n" + kRandom + kRandom + "\n-----END "),
            std::nullopt);
}

TEST(SecretScan, FindsRandomPasswordsThatAreAssigned) {
  EXPECT_EQ(kind_in("password = \"" + kRandom + "\""), SecretKind::kPassword);
  EXPECT_EQ(kind_in("\"api_key\": '" + kRandom + "'"), SecretKind::kPassword);
  EXPECT_EQ(kind_in("DB_PASSWORD=" + kRandom + "\n"), SecretKind::kPassword);
  EXPECT_EQ(kind_in("secret: " + kRandom), SecretKind::kPassword);
  EXPECT_EQ(kind_in("postgres://me:x7Kp9qWz2@host/db"), SecretKind::kUrlPassword);
}

TEST(SecretScan, PassesWordsExpressionsAndExamples) {
  for (const char* text :
       {"password = \"correct horse battery staple\"", "password = os.environ[\"DB_PASSWORD_2\"]",
        "password = get_password_from_vault_v2()", "token = tokens[index + 12345678]",
        "api_key: ${API_KEY_1234567890}", "password: your_password_123456", "the secret: it is 42",
        "AKIAIOSFODNN7EXAMPLE", "https://user:password@example.org", "http://localhost:8080/a@b",
        "task-force-of-twenty-people-2024", "sk-learn is a library, sk-something-else-entirely",
        "key = \"abcdefghijklmnopqrstuvwxyz\"", "max_tokens = 1234567890123456",
        "sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}) {
    EXPECT_EQ(kind_in(text), std::nullopt) << text;
  }
}

TEST(SecretScan, TellsTheLine) {
  const auto found = find_secret("a\nb\nghp" + ("_" + kRandom) + "\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->line, 3);
  EXPECT_STREQ(secret_words(found->kind), "a GitHub token");
}

TEST(SecretScan, LongLinesTakeLinearTime) {
  EXPECT_EQ(kind_in(std::string(8 << 20, '=')), std::nullopt);
  EXPECT_EQ(kind_in(std::string(8 << 20, ':')), std::nullopt);
  EXPECT_EQ(kind_in(std::string(8 << 20, '-')), std::nullopt);
  EXPECT_EQ(kind_in(std::string(8 << 20, 'A')), std::nullopt);
}

}  // namespace
}  // namespace dlm
