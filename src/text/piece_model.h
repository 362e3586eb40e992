// SentencePiece's BPE (Kudo and Richardson 2018): neighbours merge when together they are a piece,
// the piece of the best score first, the leftmost among equals; what is no piece in the end is
// spelled in byte tokens. There is no list of merges: the scores decide.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/token_index.h"
#include "text/token_model.h"

namespace dlm {

class PieceModel : public TokenModel {
 public:
  // Pieces by id, "" for ids without one; a finite score each. Throws Error(kFormat) for a piece
  // that stands there twice.
  PieceModel(std::vector<std::string> pieces, std::vector<float> scores,
             std::optional<int32_t> unknown);

  void tokenize(std::string_view word, std::vector<int32_t>& out) const override;
  void tokenize_without(const std::vector<bool>& blocked, std::string_view word,
                        std::vector<int32_t>& out) const override;

  std::optional<int32_t> token_id(std::string_view token) const override;
  const std::string* token(int32_t id) const override;
  size_t id_limit() const override { return pieces_.size(); }
  size_t num_tokens() const override { return index_.size(); }

 private:
  using Blocked = const std::vector<bool>*;

  int32_t find(std::string_view text, Blocked blocked) const;
  void merge(std::string_view word, Blocked blocked, std::vector<int32_t>& out) const;
  void append_bytes(std::string_view character, Blocked blocked, std::vector<int32_t>& out) const;

  std::vector<std::string> pieces_;
  std::vector<float> scores_;
  TokenIndex index_;
  std::optional<int32_t> unknown_;
  std::array<int32_t, 256> byte_tokens_{};  // ids of <0x00> to <0xFF>, or TokenIndex::kAbsent
};

}  // namespace dlm
