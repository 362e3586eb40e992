#include "engine/place.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace dlm {

namespace {

bool meet(const PlacedBuffer& a, const PlacedBuffer& b) {
  return a.first.meets(b.first) || a.first.meets(b.second) || a.second.meets(b.first) ||
         a.second.meets(b.second);
}

int start_of(const PlacedBuffer& b) {
  return b.first.is_empty() ? b.second.start : b.first.start;
}

// From its first use to its last, with the gap between two lives.
int length_of(const PlacedBuffer& b) {
  return std::max(b.first.end, b.second.end) - start_of(b);
}

// Each buffer at the lowest offset that is free over its lives. Returns the total.
int64_t first_fit(std::vector<PlacedBuffer>& buffers, std::span<const size_t> order) {
  std::vector<const PlacedBuffer*> placed;  // by offset
  placed.reserve(order.size());
  int64_t total = 0;
  for (const size_t index : order) {
    PlacedBuffer& buffer = buffers[index];
    buffer.offset = 0;
    for (const PlacedBuffer* other : placed) {
      if (buffer.offset + buffer.size <= other->offset) break;
      if (other->offset + other->size > buffer.offset && meet(buffer, *other)) {
        buffer.offset = other->offset + other->size;
      }
    }
    total = std::max(total, buffer.offset + buffer.size);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &buffer,
                                   [](const PlacedBuffer* a, const PlacedBuffer* b) {
                                     return a->offset < b->offset;
                                   }),
                  &buffer);
  }
  return total;
}

}  // namespace

int64_t place_buffers(std::vector<PlacedBuffer>& buffers) {
  std::vector<size_t> by_start(buffers.size());
  std::iota(by_start.begin(), by_start.end(), size_t{0});
  std::stable_sort(by_start.begin(), by_start.end(), [&](size_t a, size_t b) {
    const int start_a = start_of(buffers[a]);
    const int start_b = start_of(buffers[b]);
    return start_a != start_b ? start_a < start_b : buffers[a].size > buffers[b].size;
  });
  const int64_t total = first_fit(buffers, by_start);
  const bool any_twice = std::any_of(buffers.begin(), buffers.end(), [](const PlacedBuffer& b) {
    return !b.first.is_empty() && !b.second.is_empty();
  });
  if (!any_twice) return total;
  std::vector<PlacedBuffer> nested = buffers;
  std::vector<size_t> by_length = by_start;
  const auto once = [&](size_t i) {
    return buffers[i].first.is_empty() || buffers[i].second.is_empty();
  };
  std::stable_sort(by_length.begin(), by_length.end(), [&](size_t a, size_t b) {
    // What lives twice is free in between, so it goes on top of what lives through.
    const int length_a = once(a) ? length_of(buffers[a]) : 0;
    const int length_b = once(b) ? length_of(buffers[b]) : 0;
    return length_a != length_b ? length_a > length_b : buffers[a].size > buffers[b].size;
  });
  const int64_t nested_total = first_fit(nested, by_length);
  if (nested_total >= total) return total;
  buffers = std::move(nested);
  return nested_total;
}

}  // namespace dlm
