// Word to ids: characters become symbols, then the merge of lowest rank is applied until none is
// left (the leftmost first among equal ranks). Short words scan for the best pair; long ones use a
// heap, so that time stays n log n.
#include "text/bpe_model.h"

#include <algorithm>
#include <queue>

#include "support/error.h"
#include "support/text.h"
#include "text/byte_alphabet.h"
#include "text/fields.h"

namespace dlm {

namespace {

constexpr size_t kShortWord = 32;          // symbols; the scan is faster than the heap up to here
constexpr size_t kMaxWordBytes = 1 << 30;  // symbol positions are 32-bit
constexpr uint32_t kNone = UINT32_MAX;

uint32_t code_point_at(std::string_view text, size_t at, size_t length) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  if (length == 1) return byte(0);
  if (length == 2) return (byte(0) & 0x1Fu) << 6 | (byte(1) & 0x3Fu);
  if (length == 3) return (byte(0) & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
  return (byte(0) & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 |
         (byte(3) & 0x3Fu);
}

size_t length_at(std::string_view text, size_t at) {
  return std::min(static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[at]))),
                  text.size() - at);
}

}  // namespace

void BpeModel::tokenize(std::string_view word, std::vector<int32_t>& out) const {
  if (word.size() > kMaxWordBytes) {
    throw Error(ErrorKind::kFormat, "a text of more than 1 GiB cannot be tokenized at once",
                "split the text");
  }
  const bool cacheable = word.size() <= WordCache::kMaxWordBytes;
  if (cacheable && cache_->find(word, out)) return;
  const size_t before = out.size();
  const std::optional<int32_t> whole = ignore_merges_ ? whole_word(word) : std::nullopt;
  if (whole) {
    out.push_back(*whole);
  } else if (neighbours_.size() == 0) {
    tokenize_part(word, nullptr, out);
  } else {
    for (size_t from = 0; from < word.size();) {
      const size_t cut = next_safe_cut(word, from);
      const std::string_view part = word.substr(from, cut - from);
      const bool is_whole = part.size() == word.size();
      const bool part_cacheable = !is_whole && part.size() <= WordCache::kMaxWordBytes;
      // With ignore_merges a cached word may be a whole token, which a part must not become.
      const bool use_cache = part_cacheable && !ignore_merges_;
      if (!use_cache || !cache_->find(part, out)) {
        const size_t start = out.size();
        tokenize_part(part, nullptr, out);
        if (use_cache) cache_->store(part, out.data() + start, out.size() - start);
      }
      from = cut;
    }
  }
  if (cacheable) cache_->store(word, out.data() + before, out.size() - before);
}

void BpeModel::tokenize_without(const std::vector<bool>& blocked, std::string_view word,
                                std::vector<int32_t>& out) const {
  const std::optional<int32_t> whole = ignore_merges_ ? whole_word(word) : std::nullopt;
  if (whole && !blocked[static_cast<size_t>(*whole)]) {
    out.push_back(*whole);
  } else {
    tokenize_part(word, &blocked, out);
  }
}

std::optional<int32_t> BpeModel::whole_word(std::string_view word) const {
  return words_are_bytes_ ? token_id(to_byte_characters(word)) : token_id(word);
}

// The first place after `from` between two characters that no token holds side by side. The second
// one must be a token itself: only that ends a run of fused unknown characters.
size_t BpeModel::next_safe_cut(std::string_view word, size_t from) const {
  size_t at = from;
  size_t length = length_at(word, at);
  uint32_t last = code_point_at(word, at, length);
  for (at += length; at < word.size(); at += length) {
    length = length_at(word, at);
    const uint32_t next = code_point_at(word, at, length);
    if (neighbours_.find(last, next) == PairMap::kAbsent && token_id(word.substr(at, length))) {
      return at;
    }
    last = next;
  }
  return word.size();
}

void BpeModel::tokenize_part(std::string_view part, Blocked blocked,
                             std::vector<int32_t>& out) const {
  const size_t begin = out.size();
  initial_symbols(part, blocked, out);
  const size_t count = out.size() - begin;
  const size_t kept = count <= kShortWord ? merge_short(out.data() + begin, count, blocked)
                                          : merge_long(out, begin, blocked);
  out.resize(begin + kept);
}

void BpeModel::initial_symbols(std::string_view part, Blocked blocked,
                               std::vector<int32_t>& out) const {
  const auto is_blocked = [&](int32_t id) {
    return blocked != nullptr && (*blocked)[static_cast<size_t>(id)];
  };
  bool unknown_waits = false;
  const auto add_unknown = [&] {
    if (!unknown_) return;
    if (unknown_waits && !fuse_unknown_) out.push_back(*unknown_);
    unknown_waits = true;
  };
  const auto flush_unknown = [&] {
    if (unknown_waits) out.push_back(*unknown_);
    unknown_waits = false;
  };
  if (words_are_bytes_) {
    for (const char c : part) {
      const int32_t id = byte_symbols_[static_cast<unsigned char>(c)];
      if (id < 0 || is_blocked(id)) {
        add_unknown();
      } else {
        flush_unknown();
        out.push_back(id);
      }
    }
    return flush_unknown();
  }
  for (size_t at = 0, length = 0; at < part.size(); at += length) {
    length = length_at(part, at);
    const std::string_view character = part.substr(at, length);
    std::optional<int32_t> id;
    if (continuing_prefix_.empty() && word_suffix_.empty()) {
      id = token_id(character);
    } else {
      std::string decorated = at > 0 ? continuing_prefix_ : "";
      decorated += character;
      if (at + length == part.size()) decorated += word_suffix_;
      id = token_id(decorated);
    }
    if (id && !is_blocked(*id)) {
      flush_unknown();
      out.push_back(*id);
    } else if (!byte_fallback_ || !append_byte_tokens(character, out)) {
      add_unknown();
    }
  }
  flush_unknown();
}

bool BpeModel::append_byte_tokens(std::string_view character, std::vector<int32_t>& out) const {
  for (const char c : character) {
    if (byte_tokens_[static_cast<unsigned char>(c)] < 0) return false;
  }
  for (const char c : character) out.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
  return true;
}

Merge BpeModel::find_merge(int32_t left, int32_t right, Blocked blocked) const {
  const Merge merge = merges_.find(left, right);
  const bool is_blocked =
      blocked != nullptr && merge.exists() && (*blocked)[static_cast<size_t>(merge.result)];
  return is_blocked ? Merge{} : merge;
}

// Works in place and returns how many symbols are left. ranks[i] belongs to the pair (i, i + 1).
size_t BpeModel::merge_short(int32_t* symbols, size_t count, Blocked blocked) const {
  std::array<Merge, kShortWord> pairs;
  for (size_t i = 0; i + 1 < count; ++i) {
    pairs[i] = find_merge(symbols[i], symbols[i + 1], blocked);
  }
  while (count > 1) {
    size_t best = count;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (pairs[i].exists() && (best == count || pairs[i].rank < pairs[best].rank)) best = i;
    }
    if (best == count) break;
    symbols[best] = pairs[best].result;
    for (size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      pairs[i] = pairs[i + 1];
    }
    --count;
    if (best > 0) pairs[best - 1] = find_merge(symbols[best - 1], symbols[best], blocked);
    pairs[best] =
        best + 1 < count ? find_merge(symbols[best], symbols[best + 1], blocked) : Merge{};
  }
  return count;
}

// The same with a linked list and a heap whose stale entries are skipped.
size_t BpeModel::merge_long(std::vector<int32_t>& symbols, size_t begin, Blocked blocked) const {
  struct Link {
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, position;
    int32_t result;
    bool operator<(const Candidate& other) const {  // "less" is "merged later"
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  int32_t* const ids = symbols.data() + begin;
  const auto count = static_cast<uint32_t>(symbols.size() - begin);
  constexpr int32_t kRemoved = -1;
  std::vector<Link> links(count);
  std::vector<Candidate> initial;
  for (uint32_t i = 0; i < count; ++i) {
    links[i] = {i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1};
    if (i + 1 == count) break;
    const Merge merge = find_merge(ids[i], ids[i + 1], blocked);
    if (merge.exists()) initial.push_back({merge.rank, i, merge.result});
  }
  std::priority_queue<Candidate> queue({}, std::move(initial));
  const auto offer = [&](uint32_t position) {
    if (position == kNone || links[position].next == kNone) return;
    const Merge merge = find_merge(ids[position], ids[links[position].next], blocked);
    if (merge.exists()) queue.push({merge.rank, position, merge.result});
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const uint32_t next = links[top.position].next;
    if (ids[top.position] == kRemoved || next == kNone) continue;
    const Merge merge = find_merge(ids[top.position], ids[next], blocked);
    if (merge.result != top.result || merge.rank != top.rank) continue;
    ids[top.position] = top.result;
    ids[next] = kRemoved;
    links[top.position].next = links[next].next;
    if (links[next].next != kNone) links[links[next].next].previous = top.position;
    offer(links[top.position].previous);
    offer(top.position);
  }
  return static_cast<size_t>(std::remove(ids, ids + count, kRemoved) - ids);
}

std::optional<int32_t> BpeModel::token_id(std::string_view token) const {
  const int32_t found = index_.find(token, tokens_);
  return found == TokenIndex::kAbsent ? std::nullopt : std::optional(found);
}

const std::string* BpeModel::token(int32_t id) const {
  const auto index = static_cast<size_t>(id);
  return id >= 0 && index < tokens_.size() && has_token_[index] ? &tokens_[index] : nullptr;
}

}  // namespace dlm
