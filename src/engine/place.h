// Where buffers lie in one arena: buffers that are alive at the same time never share bytes. Knows
// nothing of what they hold.
#pragma once

#include <cstdint>
#include <vector>

namespace dlm {

// Times [start, end], both included; empty while start is negative.
struct Lifetime {
  int start = -1;
  int end = -1;

  bool is_empty() const { return start < 0; }
  void touch(int time) {
    start = start < 0 || time < start ? time : start;
    end = time > end ? time : end;
  }
  bool meets(const Lifetime& other) const {
    return !is_empty() && !other.is_empty() && start <= other.end && other.start <= end;
  }
};

// A buffer may live twice at the same place: a value that is dropped after the forward pass and
// computed again in the backward pass.
struct PlacedBuffer {
  int64_t size = 0;
  Lifetime first;
  Lifetime second;
  int64_t offset = -1;  // the answer
};

// Sets every offset; returns the size of the arena. First fit, in order of start, and, where
// buffers live twice, also with the longest-lived first; the smaller arena wins.
int64_t place_buffers(std::vector<PlacedBuffer>& buffers);

}  // namespace dlm
