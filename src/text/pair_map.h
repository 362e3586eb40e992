// A hash map from a pair of 32-bit ids to a 32-bit index, for BPE merges. Open addressing in one
// flat array; keys are never removed. Nothing may depend on its order, so it offers none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dlm {

class PairMap {
 public:
  static constexpr uint32_t kAbsent = UINT32_MAX;

  void reserve(size_t num_pairs) {
    size_t capacity = 16;
    while (capacity < num_pairs * 2) capacity *= 2;
    if (capacity > slots_.size()) rehash(capacity);
  }

  uint32_t find(uint32_t left, uint32_t right) const {
    if (slots_.empty()) return kAbsent;
    const uint64_t key = key_of(left, right);
    for (size_t i = mix(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].value == kAbsent) return kAbsent;
      if (slots_[i].key == key) return slots_[i].value;
    }
  }

  // The value stored for the pair; `value` (not kAbsent) is stored first when there is none.
  uint32_t find_or_insert(uint32_t left, uint32_t right, uint32_t value) {
    if ((size_ + 1) * 2 > slots_.size()) rehash(slots_.empty() ? 16 : slots_.size() * 2);
    const uint64_t key = key_of(left, right);
    for (size_t i = mix(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].value == kAbsent) {
        slots_[i] = {key, value};
        ++size_;
        return value;
      }
      if (slots_[i].key == key) return slots_[i].value;
    }
  }

  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t value = kAbsent;
  };

  static uint64_t key_of(uint32_t left, uint32_t right) {
    return static_cast<uint64_t>(left) << 32 | right;
  }

  // The finalizer of SplitMix64 (Steele et al. 2014): every bit of the key reaches the low bits.
  static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }

  void rehash(size_t capacity) {
    std::vector<Slot> old(capacity);
    old.swap(slots_);
    mask_ = capacity - 1;
    for (const Slot& slot : old) {
      if (slot.value == kAbsent) continue;
      size_t i = mix(slot.key) & mask_;
      while (slots_[i].value != kAbsent) i = (i + 1) & mask_;
      slots_[i] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace dlm
