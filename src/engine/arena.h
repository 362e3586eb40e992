// Memory for many tensors that live about as long as each other, in a few large pieces: what a pass
// reads then lies in huge pages, and not in some thousand small ones whose addresses a processor
// must look up, which costs a virtual machine most.
#pragma once

#include <cstddef>
#include <memory>

namespace dlm {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised, 64-byte aligned. The whole piece of memory that it lies in, up to kLargest, is
  // held until all that lies there is gone. Throws Error(kTrain) when there is none.
  std::shared_ptr<std::byte> allocate(size_t size_bytes);

 private:
  // Pieces grow with what was asked for, so that little is held in vain.
  static constexpr size_t kSmallest = size_t{256} << 10;
  static constexpr size_t kLargest = size_t{32} << 20;

  std::shared_ptr<std::byte> piece_;
  size_t size_ = 0;
  size_t used_ = 0;
  size_t total_ = 0;
};

}  // namespace dlm
