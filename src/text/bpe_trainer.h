// Trains a byte-level BPE vocabulary (Sennrich et al. 2016, on bytes) and writes it as a Hugging
// Face tokenizer.json. The result depends on the texts and the options only: ties go to the pair
// with the lower token ids. It refuses options that cannot be met; it does not read files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "support/json.h"

namespace dlm {

class Regex;

// Words with one leading non-letter, digits in runs of at most 3, punctuation with following line
// ends, white space: the split that the Llama-3 family uses.
inline constexpr std::string_view kDefaultSplitPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct BpeTrainerOptions {
  size_t vocab_size = 8192;                 // special tokens, 256 bytes and merges together
  std::vector<std::string> special_tokens;  // unique, not empty
  bool special_tokens_first = true;         // ids from 0; else the last ids
  int64_t min_frequency = 2;                // a rarer pair is never merged
  std::string regex{kDefaultSplitPattern};  // text between two matches is a word too
};

// Counts words chunk by chunk, then learns merges. A word never spans two chunks.
class BpeTrainer {
 public:
  // Throws Error(kUsage) for a vocabulary too small for its fixed tokens, or for empty or repeated
  // special tokens; Error(kFormat) for a regex that does not compile.
  explicit BpeTrainer(BpeTrainerOptions options);
  ~BpeTrainer();

  // Throws Error(kEncoding) when `text` is not UTF-8.
  void add(std::string_view text);

  // The tokenizer.json. Its vocabulary is smaller than asked when no pair is frequent enough.
  Json train() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>{}(word); }
  };

  BpeTrainerOptions options_;
  std::unique_ptr<Regex> regex_;
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> counts_;
};

Json train_bpe(std::span<const std::string> texts, const BpeTrainerOptions& options);
// Calls `next_chunk` until it returns false; each call fills the string with one chunk of text.
Json train_bpe(const std::function<bool(std::string&)>& next_chunk,
               const BpeTrainerOptions& options);

}  // namespace dlm
