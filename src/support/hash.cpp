// SHA-256 over OpenSSL's EVP interface, which picks the processor's own instructions. OpenSSL's
// headers stay in this file.
#include "support/hash.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include <openssl/evp.h>

#include "support/error.h"

namespace dlm {

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) { check(context != nullptr, "no memory for a digest"); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  EVP_MD_CTX* context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1, "SHA-256 does not start");
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
  update(std::as_bytes(std::span(bytes)));
}

void Sha256::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1, "SHA-256 fails");
}

std::string Sha256::hex() const {
  const State copy;
  std::array<unsigned char, 32> digest;
  check(EVP_MD_CTX_copy_ex(copy.context, state_->context) == 1 &&
            EVP_DigestFinal_ex(copy.context, digest.data(), nullptr) == 1,
        "SHA-256 fails");
  std::string text;
  for (unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_hex(std::string_view bytes) {
  return sha256_hex(std::as_bytes(std::span(bytes)));
}

std::string sha256_file_hex(const std::filesystem::path& path) {
  const auto fail = [&] {
    throw Error(ErrorKind::kIo, "cannot read the file: " + std::generic_category().message(errno),
                {}, {path.string()});
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  if (!file) fail();
  Sha256 hash;
  std::array<std::byte, 1 << 16> buffer;
  while (true) {
    const size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get());
    hash.update(std::span(buffer).first(count));
    if (count == buffer.size()) continue;
    if (std::ferror(file.get())) fail();
    return hash.hex();
  }
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace dlm
