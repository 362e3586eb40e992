// Long prose in pieces that a row can hold: cut at a paragraph, else after a sentence, else at a
// line end, else between words, else between characters. The pieces are the text, byte for byte.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace dlm {

struct ProseChunk {
  size_t begin = 0;  // bytes of the text
  size_t end = 0;
};

// The best place to end a piece of `text` that begins at `begin` and may not reach beyond `end`
// (begin < end < size): the last border of the best kind in the second half. Never inside a
// character; beyond `end` only where the first character is.
size_t chunk_border(std::string_view text, size_t begin, size_t end);

// Calls `on_chunk` with each piece in order and its tokens, of which there are at most `max_tokens`
// unless the piece is a single character. `encode` gives the tokens of text[begin, end) and is
// called for about 1.2 times the text, whatever its length.
void cut_prose(std::string_view text, int64_t max_tokens,
               const std::function<std::vector<int32_t>(size_t begin, size_t end)>& encode,
               const std::function<void(const ProseChunk&, std::span<const int32_t>)>& on_chunk);

}  // namespace dlm
