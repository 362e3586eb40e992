#include "engine/arena.h"

#include <algorithm>

#include "engine/tensor.h"

namespace dlm {

std::shared_ptr<std::byte> Arena::allocate(size_t size_bytes) {
  if (size_bytes > kLargest) return allocate_aligned(size_bytes);
  const size_t rounded = (size_bytes + 63) / 64 * 64;
  const size_t next = std::clamp(total_, kSmallest, kLargest);
  total_ += rounded;
  if (rounded > size_ - used_) {
    if (rounded > next / 2) return allocate_aligned(size_bytes);
    piece_ = allocate_aligned(next);
    size_ = next;
    used_ = 0;
  }
  std::byte* at = piece_.get() + used_;
  used_ += rounded;
  return {piece_, at};
}

}  // namespace dlm
