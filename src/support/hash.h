// SHA-256, in one go, in pieces, or of a file. No other digest is offered: all formats use this
// one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace dlm {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::string_view bytes);
  void update(std::span<const std::byte> bytes);
  // 64 lower-case hex digits of all bytes so far; more may follow.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);
std::string sha256_hex(std::span<const std::byte> bytes);
// Of a file's bytes, read in pieces. Throws Error(kIo).
std::string sha256_file_hex(const std::filesystem::path& path);

// Whether the text is 64 lower-case hex digits.
bool is_sha256_hex(std::string_view text);

}  // namespace dlm
