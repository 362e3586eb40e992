// Finds the id of a token by its text: open addressing in one flat array that holds parts of the
// hashes, so that a look-up touches one cache line and one token. It does not own the tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/text_hash.h"

namespace dlm {

class TokenIndex {
 public:
  static constexpr int32_t kAbsent = -1;

  void reserve(size_t num_tokens) {
    size_t capacity = 16;
    while (capacity < num_tokens * 2) capacity *= 2;
    slots_.assign(capacity, {});
  }

  // `tokens` are the texts by id, here and in find() the same. Returns false when the text is
  // known. At most as many may be added as were reserved.
  bool add(int32_t id, const std::vector<std::string>& tokens) {
    const std::string& text = tokens[static_cast<size_t>(id)];
    const uint64_t hash = text_hash(text);
    size_t at = hash & (slots_.size() - 1);
    for (; slots_[at].id != kAbsent; at = (at + 1) & (slots_.size() - 1)) {
      if (is_match(slots_[at], hash, text, tokens)) return false;
    }
    slots_[at] = {tag_of(hash), id};
    ++size_;
    return true;
  }

  int32_t find(std::string_view text, const std::vector<std::string>& tokens) const {
    if (slots_.empty()) return kAbsent;
    const uint64_t hash = text_hash(text);
    for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].id == kAbsent) return kAbsent;
      if (is_match(slots_[at], hash, text, tokens)) return slots_[at].id;
    }
  }

  size_t size() const { return size_; }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t id = kAbsent;
  };

  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
  static bool is_match(const Slot& slot, uint64_t hash, std::string_view text,
                       const std::vector<std::string>& tokens) {
    return slot.tag == tag_of(hash) && tokens[static_cast<size_t>(slot.id)] == text;
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace dlm
