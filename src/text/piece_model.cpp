#include "text/piece_model.h"

#include <algorithm>
#include <queue>

#include "support/error.h"
#include "support/text.h"
#include "text/fields.h"

namespace dlm {

namespace {

constexpr uint32_t kNone = UINT32_MAX;
constexpr size_t kMaxWordBytes = size_t{1} << 30;  // places are 32-bit

// A run of bytes of the word, in a linked list; size 0: merged into the one before.
struct Symbol {
  uint32_t begin, size;
  uint32_t previous, next;
};

// Two neighbours that are a piece; `size` tells whether they still are what they were.
struct Pair {
  float score;
  uint32_t left, right, size;

  bool operator<(const Pair& other) const {  // "less" is "merged later"
    return score != other.score ? score < other.score : left > other.left;
  }
};

}  // namespace

PieceModel::PieceModel(std::vector<std::string> pieces, std::vector<float> scores,
                       std::optional<int32_t> unknown)
    : pieces_(std::move(pieces)), scores_(std::move(scores)), unknown_(unknown) {
  check(scores_.size() == pieces_.size(), "a score for each piece");
  index_.reserve(pieces_.size());
  for (size_t id = 0; id < pieces_.size(); ++id) {
    if (pieces_[id].empty()) continue;
    if (!index_.add(static_cast<int32_t>(id), pieces_)) {
      bad_tokenizer("the token \"" + pieces_[id] + "\" stands in the vocabulary twice");
    }
  }
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string name = {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
    byte_tokens_[byte] = index_.find(name, pieces_);
  }
}

void PieceModel::tokenize(std::string_view word, std::vector<int32_t>& out) const {
  merge(word, nullptr, out);
}

void PieceModel::tokenize_without(const std::vector<bool>& blocked, std::string_view word,
                                  std::vector<int32_t>& out) const {
  merge(word, &blocked, out);
}

void PieceModel::merge(std::string_view word, Blocked blocked, std::vector<int32_t>& out) const {
  if (word.size() > kMaxWordBytes) {
    throw Error(ErrorKind::kFormat, "a text of more than 1 GiB cannot be tokenized at once",
                "split the text");
  }
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < word.size();) {
    const size_t size = std::min(
        static_cast<size_t>(utf8_length(static_cast<unsigned char>(word[at]))), word.size() - at);
    const auto index = static_cast<uint32_t>(symbols.size());
    symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(size), index - 1,
                       at + size == word.size() ? kNone : index + 1});
    at += size;
  }
  // The first symbol's index - 1 wraps to kNone.
  std::priority_queue<Pair> queue;
  const auto offer = [&](uint32_t left) {
    if (left == kNone || symbols[left].next == kNone) return;
    const uint32_t right = symbols[left].next;
    const uint32_t size = symbols[left].size + symbols[right].size;
    const int32_t id = find(word.substr(symbols[left].begin, size), blocked);
    if (id == TokenIndex::kAbsent) return;
    queue.push({scores_[static_cast<size_t>(id)], left, right, size});
  };
  for (uint32_t i = 0; i < symbols.size(); ++i) offer(i);
  while (!queue.empty()) {
    const Pair best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.left];
    Symbol& right = symbols[best.right];
    if (left.size == 0 || right.size == 0 || left.size + right.size != best.size) continue;
    left.size = best.size;
    right.size = 0;
    left.next = right.next;
    if (right.next != kNone) symbols[right.next].previous = best.left;
    offer(left.previous);
    offer(best.left);
  }
  for (uint32_t i = symbols.empty() ? kNone : 0; i != kNone; i = symbols[i].next) {
    const std::string_view text = word.substr(symbols[i].begin, symbols[i].size);
    const int32_t id = find(text, blocked);
    if (id != TokenIndex::kAbsent) {
      out.push_back(id);
    } else {
      append_bytes(text, blocked, out);
    }
  }
}

int32_t PieceModel::find(std::string_view text, Blocked blocked) const {
  const int32_t id = index_.find(text, pieces_);
  const bool is_blocked =
      id != TokenIndex::kAbsent && blocked != nullptr && (*blocked)[static_cast<size_t>(id)];
  return is_blocked ? TokenIndex::kAbsent : id;
}

// A character that is no piece: its bytes, or the unknown token where a byte has none.
void PieceModel::append_bytes(std::string_view character, Blocked blocked,
                              std::vector<int32_t>& out) const {
  const bool is_complete = std::all_of(character.begin(), character.end(), [&](char c) {
    const int32_t id = byte_tokens_[static_cast<unsigned char>(c)];
    return id != TokenIndex::kAbsent &&
           (blocked == nullptr || !(*blocked)[static_cast<size_t>(id)]);
  });
  if (!is_complete) {
    if (unknown_) out.push_back(*unknown_);
    return;
  }
  for (const char c : character) out.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
}

std::optional<int32_t> PieceModel::token_id(std::string_view token) const {
  const int32_t found = index_.find(token, pieces_);
  return found == TokenIndex::kAbsent ? std::nullopt : std::optional(found);
}

const std::string* PieceModel::token(int32_t id) const {
  const auto index = static_cast<size_t>(id);
  const bool exists = id >= 0 && index < pieces_.size() && !pieces_[index].empty();
  return exists ? &pieces_[index] : nullptr;
}

}  // namespace dlm
