// The BPE trainer. Every pair of neighbours keeps its count and the words that may hold it; a heap
// with stale entries gives the most frequent pair; a merge rewrites only the words that hold the
// pair.
#include "text/bpe_trainer.h"

#include <algorithm>
#include <numeric>
#include <queue>
#include <unordered_set>

#include "support/error.h"
#include "support/text.h"
#include "text/byte_alphabet.h"
#include "text/pair_map.h"
#include "text/regex.h"

namespace dlm {

namespace {

constexpr size_t kNumBytes = 256;

struct Word {
  std::vector<uint32_t> symbols;
  int64_t count;
};

// Symbols are numbered without the special tokens: 0 to 255 are the bytes in the order of their
// characters, then come the merges.
class MergeLearner {
 public:
  MergeLearner(std::vector<Word> words, const std::unordered_set<std::string>& reserved)
      : words_(std::move(words)), word_stamp_(words_.size(), 0), reserved_(reserved) {
    std::array<size_t, kNumBytes> order{};
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [](size_t a, size_t b) { return byte_to_code_point()[a] < byte_to_code_point()[b]; });
    std::array<uint32_t, kNumBytes> symbol_of_byte{};
    for (uint32_t i = 0; i < kNumBytes; ++i) {
      symbol_of_byte[order[i]] = i;
      tokens_.push_back(byte_to_character()[order[i]]);
      symbol_of_token_.emplace(tokens_.back(), i);
    }
    for (Word& word : words_) {
      for (uint32_t& symbol : word.symbols) symbol = symbol_of_byte[symbol];
    }
    count_pairs();
  }

  // Learns until there are `num_symbols` symbols or no pair occurs `min_frequency` times.
  void learn(size_t num_symbols, int64_t min_frequency) {
    while (tokens_.size() < num_symbols && !heap_.empty()) {
      const Candidate best = heap_.top();
      heap_.pop();
      Pair& pair = pairs_[best.pair];
      if (pair.count != best.count) {
        if (pair.count >= min_frequency && pair.count < best.count) push(best.pair);
        continue;
      }
      if (pair.count < min_frequency) break;
      merge(best.pair);
    }
  }

  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<std::string>& merges() const { return merges_; }

 private:
  struct Pair {
    uint32_t left;
    uint32_t right;
    int64_t count = 0;
    uint64_t stamp = 0;
    std::vector<uint32_t> words;  // may repeat and may be out of date
  };
  struct Candidate {
    int64_t count;
    uint32_t left;
    uint32_t right;
    uint32_t pair;
    bool operator<(const Candidate& other) const {  // "less" is "merged later"
      if (count != other.count) return count < other.count;
      if (left != other.left) return left > other.left;
      return right > other.right;
    }
  };

  void count_pairs() {
    for (uint32_t w = 0; w < words_.size(); ++w) {
      const auto& symbols = words_[w].symbols;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        add_count(symbols[i], symbols[i + 1], words_[w].count, w);
      }
    }
    touched_.clear();
    for (uint32_t p = 0; p < pairs_.size(); ++p) push(p);
  }

  void push(uint32_t p) { heap_.push({pairs_[p].count, pairs_[p].left, pairs_[p].right, p}); }

  void add_count(uint32_t left, uint32_t right, int64_t count, uint32_t word) {
    const auto fresh = static_cast<uint32_t>(pairs_.size());
    const uint32_t p = index_.find_or_insert(left, right, fresh);
    if (p == fresh) pairs_.push_back({left, right, 0, 0, {}});
    Pair& pair = pairs_[p];
    pair.count += count;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
    if (pair.stamp != stamp_) {
      pair.stamp = stamp_;
      touched_.push_back(p);
    }
  }

  void subtract_count(uint32_t left, uint32_t right, int64_t count) {
    pairs_[index_.find(left, right)].count -= count;
  }

  void merge(uint32_t p) {
    const uint32_t left = pairs_[p].left, right = pairs_[p].right;
    std::string token = tokens_[left] + tokens_[right];
    // A special token must not come out of plain text.
    if (reserved_.contains(token)) {
      pairs_[p].count = 0;
      return;
    }
    merges_.push_back(tokens_[left] + ' ' + tokens_[right]);
    // Two merges can spell the same token; they then share its id.
    const auto [found, is_new] =
        symbol_of_token_.emplace(token, static_cast<uint32_t>(tokens_.size()));
    if (is_new) tokens_.push_back(std::move(token));
    const uint32_t merged = found->second;

    ++stamp_;
    touched_.clear();
    const std::vector<uint32_t> where = std::move(pairs_[p].words);
    for (const uint32_t w : where) {
      if (word_stamp_[w] == stamp_) continue;
      word_stamp_[w] = stamp_;
      rewrite(w, left, right, merged);
    }
    pairs_[p].words.clear();
    pairs_[p].count = 0;
    for (const uint32_t touched : touched_) {
      if (pairs_[touched].count > 0) push(touched);
    }
  }

  void rewrite(uint32_t w, uint32_t left, uint32_t right, uint32_t merged) {
    std::vector<uint32_t>& symbols = words_[w].symbols;
    const int64_t count = words_[w].count;
    size_t out = 0;
    for (size_t i = 0; i < symbols.size();) {
      if (symbols[i] != left || i + 1 == symbols.size() || symbols[i + 1] != right) {
        symbols[out++] = symbols[i++];
        continue;
      }
      if (out > 0) {
        subtract_count(symbols[out - 1], left, count);
        add_count(symbols[out - 1], merged, count, w);
      }
      if (i + 2 < symbols.size()) {
        subtract_count(right, symbols[i + 2], count);
        add_count(merged, symbols[i + 2], count, w);
      }
      symbols[out++] = merged;
      i += 2;
    }
    symbols.resize(out);
  }

  std::vector<Word> words_;
  std::vector<uint64_t> word_stamp_;
  const std::unordered_set<std::string>& reserved_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, uint32_t> symbol_of_token_;
  std::vector<std::string> merges_;
  std::vector<Pair> pairs_;
  PairMap index_;
  std::priority_queue<Candidate> heap_;
  std::vector<uint32_t> touched_;
  uint64_t stamp_ = 1;
};

Json byte_level(bool use_regex) {
  return Json::object({{"type", "ByteLevel"},
                       {"add_prefix_space", false},
                       {"trim_offsets", true},
                       {"use_regex", use_regex}});
}

Json to_tokenizer_json(const MergeLearner& learner, const BpeTrainerOptions& options) {
  const int64_t num_special = static_cast<int64_t>(options.special_tokens.size());
  const int64_t num_learned = static_cast<int64_t>(learner.tokens().size());
  const int64_t first_special = options.special_tokens_first ? 0 : num_learned;
  const int64_t first_learned = options.special_tokens_first ? num_special : 0;

  std::vector<Json> added;
  std::vector<Json::Member> special_vocab, vocab;
  for (int64_t i = 0; i < num_special; ++i) {
    const std::string& content = options.special_tokens[static_cast<size_t>(i)];
    added.push_back(Json::object({{"id", first_special + i},
                                  {"content", content},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", false},
                                  {"special", true}}));
    special_vocab.emplace_back(content, first_special + i);
  }
  if (options.special_tokens_first) vocab = special_vocab;
  for (int64_t i = 0; i < num_learned; ++i) {
    vocab.emplace_back(learner.tokens()[static_cast<size_t>(i)], first_learned + i);
  }
  if (!options.special_tokens_first) {
    vocab.insert(vocab.end(), special_vocab.begin(), special_vocab.end());
  }
  const std::vector<Json> merges(learner.merges().begin(), learner.merges().end());

  Json split = Json::object({{"type", "Split"},
                             {"pattern", Json::object({{"Regex", options.regex}})},
                             {"behavior", "Isolated"},
                             {"invert", false}});
  Json pre_tokenizer =
      Json::object({{"type", "Sequence"},
                    {"pretokenizers", Json::array({std::move(split), byte_level(false)})}});
  Json model = Json::object({{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", nullptr},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", false},
                             {"byte_fallback", false},
                             {"ignore_merges", false},
                             {"vocab", Json::object(std::move(vocab))},
                             {"merges", Json::array(merges)}});
  return Json::object({{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", Json::array(std::move(added))},
                       {"normalizer", nullptr},
                       {"pre_tokenizer", std::move(pre_tokenizer)},
                       {"post_processor", nullptr},
                       {"decoder", byte_level(true)},
                       {"model", std::move(model)}});
}

}  // namespace

BpeTrainer::BpeTrainer(BpeTrainerOptions options) : options_(std::move(options)) {
  std::unordered_set<std::string> seen;
  for (const std::string& token : options_.special_tokens) {
    if (token.empty() || !seen.insert(token).second) {
      throw Error(ErrorKind::kUsage, "special token \"" + token + "\" is empty or given twice",
                  "name every special token once");
    }
    for (const std::string& character : byte_to_character()) {
      if (token == character) {
        throw Error(ErrorKind::kUsage, "special token \"" + token + "\" is a single byte character",
                    "use a longer name, such as <|end|>");
      }
    }
  }
  const size_t fixed = kNumBytes + options_.special_tokens.size();
  if (options_.vocab_size < fixed || options_.vocab_size > INT32_MAX) {
    throw Error(ErrorKind::kUsage,
                "vocab_size " + std::to_string(options_.vocab_size) +
                    " cannot hold 256 bytes and " + std::to_string(options_.special_tokens.size()) +
                    " special tokens",
                "use at least " + std::to_string(fixed));
  }
  regex_ = std::make_unique<Regex>(Regex::compile(options_.regex));
}

BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::string_view text) {
  if (const auto fault = find_utf8_fault(text)) {
    throw Error(ErrorKind::kEncoding,
                "training text is not UTF-8 at byte " + std::to_string(fault->byte_offset) + ": " +
                    fault->reason,
                "convert the text to UTF-8");
  }
  const auto count = [&](std::string_view word) {
    if (word.empty()) return;
    const auto found = counts_.find(word);
    if (found != counts_.end()) {
      ++found->second;
    } else {
      counts_.emplace(word, 1);
    }
  };
  Regex::Walk walk(*regex_, text);
  size_t done = 0;
  while (const auto match = walk.next()) {
    count(text.substr(done, match->begin - done));
    count(text.substr(match->begin, match->end - match->begin));
    done = match->end;
  }
  count(text.substr(done));
}

Json BpeTrainer::train() const {
  // The order of words decides nothing: a pair's count is a sum over words, and ties are broken by
  // ids.
  std::vector<Word> words;
  words.reserve(counts_.size());
  for (const auto& [text, count] : counts_) {
    Word word{{}, count};
    word.symbols.reserve(text.size());
    for (const char byte : text) word.symbols.push_back(static_cast<unsigned char>(byte));
    words.push_back(std::move(word));
  }
  std::unordered_set<std::string> reserved(options_.special_tokens.begin(),
                                           options_.special_tokens.end());
  MergeLearner learner(std::move(words), reserved);
  learner.learn(options_.vocab_size - options_.special_tokens.size(),
                std::max<int64_t>(1, options_.min_frequency));
  return to_tokenizer_json(learner, options_);
}

Json train_bpe(std::span<const std::string> texts, const BpeTrainerOptions& options) {
  BpeTrainer trainer(options);
  for (const std::string& text : texts) trainer.add(text);
  return trainer.train();
}

Json train_bpe(const std::function<bool(std::string&)>& next_chunk,
               const BpeTrainerOptions& options) {
  BpeTrainer trainer(options);
  std::string chunk;
  while (next_chunk(chunk)) trainer.add(chunk);
  return trainer.train();
}

}  // namespace dlm
