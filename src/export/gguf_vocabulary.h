// The tokens of a tokenizer.json as GGUF files list them: one text and one kind for each row of the
// embedding; ranks of merges, or scores that give the same order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "text/bpe_lists.h"
#include "text/tokenizer.h"

namespace dlm {

struct GgufVocabulary {
  bool is_sentencepiece = false;    // pieces with scores, else byte-level tokens with merges
  bool adds_space_prefix = false;   // SentencePiece: a blank before the text
  std::vector<std::string> tokens;  // one for each row
  std::vector<int32_t> kinds;       // of each token, as the format numbers them
  std::vector<float> scores;        // SentencePiece
  std::vector<std::string> merges;  // byte-level
};

// `json` is the tokenizer.json without its long lists, `lists` hold these. Throws Error(kBase) with
// `path` as the place.
GgufVocabulary gguf_vocabulary(const Tokenizer& tokenizer, const Json& json, const BpeLists& lists,
                               const ModelConfig& config, const std::string& path);

}  // namespace dlm
