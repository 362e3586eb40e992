// The merges of a BPE model: which two ids become which one, and how early. Open addressing in one
// flat array of 16-byte slots, since BPE asks it about every pair of neighbours. Nothing may depend
// on its order, so it offers none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dlm {

struct Merge {
  uint32_t rank = UINT32_MAX;  // UINT32_MAX: the pair does not merge
  int32_t result = 0;

  bool exists() const { return rank != UINT32_MAX; }
};

class MergeTable {
 public:
  void reserve(size_t num_pairs) {
    size_t capacity = 16;
    while (capacity < num_pairs + num_pairs / 2) capacity *= 2;
    slots_.assign(capacity, {});
  }

  // Replaces what the pair gave before. At most as many pairs may be set as were reserved.
  void set(int32_t left, int32_t right, Merge merge) {
    Slot& slot = slots_[slot_of(left, right)];
    slot = {left, right, merge};
  }

  Merge find(int32_t left, int32_t right) const { return slots_[slot_of(left, right)].merge; }

 private:
  struct Slot {
    int32_t left = 0;
    int32_t right = 0;
    Merge merge;
  };

  // Where the pair is, or the free slot where it would be.
  size_t slot_of(int32_t left, int32_t right) const {
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash(left, right) & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (!slot.merge.exists() || (slot.left == left && slot.right == right)) return at;
    }
  }

  // Ids are small and dense: one multiplication (Fibonacci hashing) and its high bits will do.
  static size_t hash(int32_t left, int32_t right) {
    const uint64_t key =
        static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    const uint64_t mixed = (key ^ (key >> 29)) * 0x9E3779B97F4A7C15u;
    return static_cast<size_t>(mixed ^ (mixed >> 32));
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
};

}  // namespace dlm
