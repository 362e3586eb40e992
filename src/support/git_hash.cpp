// OpenSSL's EVP interface again; a digest of twenty bytes.
#include "support/git_hash.h"

#include <array>

#include <openssl/evp.h>

#include "support/error.h"

namespace dlm {

struct GitBlobHash::State {
  State() : context(EVP_MD_CTX_new()) {
    check(context != nullptr && EVP_DigestInit_ex(context, EVP_sha1(), nullptr) == 1,
          "SHA-1 does not start");
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  EVP_MD_CTX* context;
};

GitBlobHash::GitBlobHash(uint64_t size) : state_(std::make_unique<State>()) {
  std::string head = "blob " + std::to_string(size);
  head += '\0';
  update(std::as_bytes(std::span(head)));
}
GitBlobHash::~GitBlobHash() = default;
GitBlobHash::GitBlobHash(GitBlobHash&&) noexcept = default;
GitBlobHash& GitBlobHash::operator=(GitBlobHash&&) noexcept = default;

void GitBlobHash::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1, "SHA-1 fails");
}

std::string GitBlobHash::hex() const {
  const State copy;
  std::array<unsigned char, 20> digest;
  check(EVP_MD_CTX_copy_ex(copy.context, state_->context) == 1 &&
            EVP_DigestFinal_ex(copy.context, digest.data(), nullptr) == 1,
        "SHA-1 fails");
  std::string text;
  for (const unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace dlm
