// The two long lists of a BPE tokenizer.json, vocabulary and merges, and the rest of the file. A
// file of 128,000 tokens holds half a million strings: they are read from the bytes as they lie,
// since a tree of JSON values would take longer to build than everything else together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/json.h"

namespace dlm {

// Views of the text or the JSON value that the lists were read from, which must outlive them.
struct BpeLists {
  std::vector<std::pair<std::string_view, int64_t>> vocab;  // token, id; in the file's order
  std::vector<std::pair<std::string_view, std::string_view>> merges;  // by rank
};

// The members "vocab" and "merges" of a model. Throws Error(kFormat).
BpeLists lists_of(const Json& model);

// A tokenizer file whose lists were read on their own.
struct SkimmedFile {
  Json json;  // the file with an empty model.vocab and model.merges
  BpeLists lists;
  std::string unescaped;  // what the lists view where the text has escapes
};

// None where the text is not what such files nearly always are: whoever asks then reads it in full,
// and gets the exact error where it is broken. The result views `text`.
std::optional<SkimmedFile> skim_tokenizer_file(std::string_view text);
// The same, in full where it has to be. Throws Error(kFormat).
SkimmedFile read_tokenizer_file(std::string_view text, const std::string& path);

}  // namespace dlm
