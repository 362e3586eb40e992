// Remembers the ids of recent words, so that a tokenizer does the merges of a common word once. The
// slots are few and fixed, a word always falls into the same one, and a miss computes the same ids:
// results never depend on the cache. Safe to use from many threads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

class WordCache {
 public:
  // Longer words are rare and not worth their memory.
  static constexpr size_t kMaxWordBytes = 48;

  WordCache() : slots_(kNumSlots) {}

  // Appends the word's ids to `out` and returns true when they are known. A slot that another
  // thread uses at this moment counts as unknown.
  bool find(std::string_view word, std::vector<int32_t>& out) {
    const size_t i = index_of(word);
    const std::unique_lock lock(locks_[i % kNumLocks], std::try_to_lock);
    if (!lock.owns_lock() || slots_[i].word != word || word.empty()) return false;
    out.insert(out.end(), slots_[i].ids.begin(), slots_[i].ids.end());
    return true;
  }

  void store(std::string_view word, const int32_t* ids, size_t num_ids) {
    if (word.size() > kMaxWordBytes) return;
    const size_t i = index_of(word);
    const std::unique_lock lock(locks_[i % kNumLocks], std::try_to_lock);
    if (!lock.owns_lock()) return;
    slots_[i].word.assign(word);
    slots_[i].ids.assign(ids, ids + num_ids);
  }

 private:
  static constexpr size_t kNumSlots = 1 << 16;
  static constexpr size_t kNumLocks = 64;
  struct Slot {
    std::string word;
    std::vector<int32_t> ids;
  };

  static size_t index_of(std::string_view word) {
    return std::hash<std::string_view>{}(word) % kNumSlots;
  }

  std::vector<Slot> slots_;
  std::array<std::mutex, kNumLocks> locks_;
};

}  // namespace dlm
