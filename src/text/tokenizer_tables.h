// What a Tokenizer holds; private to the tokenizer and its stream.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe_lists.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/token_model.h"
#include "text/tokenizer.h"

namespace dlm {

struct Tokenizer::Tables {
  // Throws Error(kFormat). `lists`: those of the model, where they are not in `json`.
  explicit Tables(const Json& json, const BpeLists* lists = nullptr);
  explicit Tables(const Vocabulary& vocabulary);

  void add_tokens(const std::vector<AddedToken>& tokens);
  void encode(std::string_view text, bool is_ordinary, std::vector<int32_t>& out) const;

  struct Finders {
    AddedTokenFinder raw;         // searched before the normalizer
    AddedTokenFinder normalized;  // and after it
  };

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const TokenModel> model;
  PostProcessor post_processor;
  Decoder decoder;
  Finders all;
  Finders ordinary;  // the added tokens that are plain white space
  std::unordered_map<std::string, int32_t> added_ids;
  std::unordered_map<int32_t, std::string> added_texts;
  std::vector<bool> special;  // by id
  size_t id_limit = 0;
};

}  // namespace dlm
