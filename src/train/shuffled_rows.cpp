#include "train/shuffled_rows.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/random.h"

namespace dlm {

ShuffledRows::ShuffledRows(int64_t seed, uint64_t stream, std::vector<uint64_t> ids)
    : seed_(static_cast<uint64_t>(seed)), stream_(stream), ids_(std::move(ids)) {}

std::vector<ShuffledRows::Chosen> ShuffledRows::choose(int64_t first, int64_t count) {
  std::vector<Chosen> chosen;
  if (ids_.empty()) return chosen;
  const auto size = static_cast<int64_t>(ids_.size());
  for (int64_t i = first; i < first + count; ++i) {
    if (const int64_t epoch = i / size; epoch != epoch_) shuffle(epoch);
    chosen.push_back({order_[static_cast<size_t>(i % size)], static_cast<uint64_t>(epoch_)});
  }
  return chosen;
}

void ShuffledRows::shuffle(int64_t epoch) {
  std::vector<uint64_t> keys;
  keys.reserve(ids_.size());
  for (size_t r = 0; r < ids_.size(); ++r) {
    keys.push_back(random_key({seed_, stream_, static_cast<uint64_t>(epoch), ids_[r], r}));
  }
  order_.resize(ids_.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  epoch_ = epoch;
}

}  // namespace dlm
