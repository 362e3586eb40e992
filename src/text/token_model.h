// What turns a word into ids once added tokens, normalizer and pre-tokenizer have done their part.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

class TokenModel {
 public:
  virtual ~TokenModel() = default;

  // Appends the ids of one word of valid UTF-8, which is not empty.
  virtual void tokenize(std::string_view word, std::vector<int32_t>& out) const = 0;
  // The same, but no id in `blocked` (indexed by id) comes out; only the unknown token still may.
  virtual void tokenize_without(const std::vector<bool>& blocked, std::string_view word,
                                std::vector<int32_t>& out) const = 0;

  virtual std::optional<int32_t> token_id(std::string_view token) const = 0;
  // Null when no token has this id.
  virtual const std::string* token(int32_t id) const = 0;
  // One more than the largest id.
  virtual size_t id_limit() const = 0;
  virtual size_t num_tokens() const = 0;
};

}  // namespace dlm
