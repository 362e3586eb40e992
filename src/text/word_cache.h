// Remembers the ids of recent words, so that a tokenizer does the merges of a common word once. The
// slots are few and fixed, a word always falls into the same one, and a miss computes the same ids:
// results never depend on the cache. Safe to use from many threads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "text/text_hash.h"

namespace dlm {

class WordCache {
 public:
  // A slot fills a cache line. Longer words and words of more ids are rare.
  static constexpr size_t kMaxWordBytes = 29;
  static constexpr size_t kMaxIds = 8;

  // A small vocabulary, which has few long tokens, gets few slots.
  explicit WordCache(size_t num_tokens)
      : slots_(std::bit_ceil(std::clamp(num_tokens, kMinSlots, kMaxSlots))) {}

  // Appends the word's ids to `out` and returns true when they are known. A slot that another
  // thread uses at this moment counts as unknown.
  bool find(std::string_view word, std::vector<int32_t>& out) {
    Slot& slot = slot_of(word);
    if (slot.is_taken.exchange(true, std::memory_order_acquire)) return false;
    const bool found = slot.num_bytes == word.size() && slot.num_ids != 0 &&
                       std::memcmp(slot.word.data(), word.data(), word.size()) == 0;
    if (found) out.insert(out.end(), slot.ids.begin(), slot.ids.begin() + slot.num_ids);
    slot.is_taken.store(false, std::memory_order_release);
    return found;
  }

  void store(std::string_view word, const int32_t* ids, size_t num_ids) {
    if (word.size() > kMaxWordBytes || num_ids > kMaxIds) return;
    Slot& slot = slot_of(word);
    if (slot.is_taken.exchange(true, std::memory_order_acquire)) return;
    slot.num_bytes = static_cast<uint8_t>(word.size());
    slot.num_ids = static_cast<uint8_t>(num_ids);
    std::copy(word.begin(), word.end(), slot.word.begin());
    std::copy(ids, ids + num_ids, slot.ids.begin());
    slot.is_taken.store(false, std::memory_order_release);
  }

 private:
  static constexpr size_t kMinSlots = 1 << 10;
  static constexpr size_t kMaxSlots = 1 << 16;
  struct alignas(64) Slot {
    std::atomic<bool> is_taken{false};
    uint8_t num_bytes = 0;
    uint8_t num_ids = 0;  // 0: the slot is empty
    std::array<char, kMaxWordBytes> word;
    std::array<int32_t, kMaxIds> ids;
  };
  static_assert(sizeof(Slot) == 64);

  Slot& slot_of(std::string_view word) { return slots_[text_hash(word) & (slots_.size() - 1)]; }

  std::vector<Slot> slots_;
};

}  // namespace dlm
