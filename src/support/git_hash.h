// The SHA-1 by which git, and so a model hub, names small files. All our own formats use SHA-256
// (hash.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace dlm {

// The name that git gives to a file: SHA-1 of "blob SIZE", a zero byte and its bytes. Against
// damage, not against forgery.
class GitBlobHash {
 public:
  explicit GitBlobHash(uint64_t size);
  ~GitBlobHash();
  GitBlobHash(GitBlobHash&&) noexcept;
  GitBlobHash& operator=(GitBlobHash&&) noexcept;

  void update(std::span<const std::byte> bytes);
  std::string hex() const;  // 40 lower-case hex digits

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether the text is so many lower-case hex digits.
bool is_hex(std::string_view text, size_t digits);

}  // namespace dlm
