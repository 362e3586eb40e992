// The tokens that pre-training reads: one file of ids and one of row boundaries, made once from the
// corpus and the tokenizer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/file.h"
#include "text/tokenizer.h"

namespace dlm {

struct TokenRow {
  uint32_t begin;  // first token in the ids
  uint32_t count;  // tokens of the row; the label of the last one is the token that follows
};

struct TokenData {
  std::vector<uint16_t> ids;
  std::vector<TokenRow> text_rows;
  std::vector<TokenRow> chat_rows;
};

// Texts are cut into rows of `context` tokens; each chat row stands alone and is left out when
// longer than that. `repeat` gives how often a file's text rows are listed.
void append_corpus(const Tokenizer& tokenizer, const std::string& text, int64_t context, int repeat,
                   TokenData& data);

// Mean bits per byte of a text under rows of `context` tokens: what a .valid file is measured by.
// Returned as token rows; the caller divides by text.size().
TokenData text_rows_of(const Tokenizer& tokenizer, const std::string& text, int64_t context);

}  // namespace dlm
