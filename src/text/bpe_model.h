// The BPE model of a tokenizer.json: vocabulary, merges, and the ids of one word. It refuses files
// whose merges or ids do not fit together, and models other than BPE; it does not split texts into
// words.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/json.h"
#include "text/bpe_lists.h"
#include "text/merge_table.h"
#include "text/pair_map.h"
#include "text/token_index.h"
#include "text/token_model.h"
#include "text/word_cache.h"

namespace dlm {

class BpeModel : public TokenModel {
 public:
  // `lists`: null when they are in `model`. `words_are_bytes`: words come as raw bytes and are read
  // through the byte alphabet. Throws Error(kFormat).
  static BpeModel from_json(const Json& model, const BpeLists* lists, bool words_are_bytes);

  // A character that is in no token becomes the unknown token, or its bytes' tokens, or nothing, as
  // the file says.
  void tokenize(std::string_view word, std::vector<int32_t>& out) const override;
  void tokenize_without(const std::vector<bool>& blocked, std::string_view word,
                        std::vector<int32_t>& out) const override;

  std::optional<int32_t> token_id(std::string_view token) const override;
  const std::string* token(int32_t id) const override;
  size_t id_limit() const override { return tokens_.size(); }
  size_t num_tokens() const override { return index_.size(); }

 private:
  using Blocked = const std::vector<bool>*;

  void read_vocab(const BpeLists& lists);
  void read_merges(const BpeLists& lists);
  int32_t merge_result(uint32_t rank, std::string_view left, std::string_view right,
                       int32_t last_result) const;
  void index_bytes();
  void index_neighbours();
  std::optional<int32_t> whole_word(std::string_view word) const;
  void tokenize_part(std::string_view part, Blocked blocked, std::vector<int32_t>& out) const;
  void initial_symbols(std::string_view part, Blocked blocked, std::vector<int32_t>& out) const;
  bool append_byte_tokens(std::string_view character, std::vector<int32_t>& out) const;
  size_t next_safe_cut(std::string_view word, size_t from) const;
  Merge find_merge(int32_t left, int32_t right, Blocked blocked) const;
  size_t merge_short(int32_t* symbols, size_t count, Blocked blocked) const;
  size_t merge_long(std::vector<int32_t>& symbols, size_t begin, Blocked blocked) const;

  std::vector<std::string> tokens_;  // by id; "" where has_token_ is false
  std::vector<bool> has_token_;
  TokenIndex index_;
  MergeTable merges_;

  std::optional<int32_t> unknown_;
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  std::string continuing_prefix_;
  std::string word_suffix_;
  std::array<int32_t, 256> byte_tokens_{};  // ids of <0x00> to <0xFF>, -1 where missing

  bool words_are_bytes_ = false;
  std::array<int32_t, 256> byte_symbols_{};  // ids of the byte alphabet's characters, or -1

  // Tokens that stand for something else than their spelling: <0x00> to <0xFF>, the unknown token.
  std::vector<bool> is_stand_in_;
  bool merges_stand_ins_ = false;
  // Pairs of characters that stand side by side in some token. Between two other characters nothing
  // can merge, so long words without a pre-tokenizer are cut there. Empty where that is not exact:
  // when a merge takes a stand-in, or characters are decorated.
  PairMap neighbours_;

  std::unique_ptr<WordCache> cache_;
};

}  // namespace dlm
