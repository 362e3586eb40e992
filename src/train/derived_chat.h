// Chat rows derived by rule from plain books, so that a small base has seen its turn tokens:
// questions and replies of printed dialogue, continuations, repetitions, stories, titles and
// authors, and questions about a passage (reading_pairs.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dlm {

// ChatML texts, each with one or two turns and "<|endoftext|>" at its end, in the order of the
// text. `document` is one book: "Title:", "Author:", "Year:" lines, then paragraphs of one line
// each.
std::vector<std::string> derive_chat_rows(std::string_view document);

}  // namespace dlm
