// The order in which rows are trained: each once in an epoch, shuffled anew for every epoch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dlm {

class ShuffledRows {
 public:
  struct Chosen {
    size_t row;  // index in the list of rows
    uint64_t epoch;
  };

  // The order depends on seed, stream and the ids alone.
  ShuffledRows(int64_t seed, uint64_t stream, std::vector<uint64_t> ids);

  // Rows number [first, first + count) of all epochs one after the other; of no rows none.
  std::vector<Chosen> choose(int64_t first, int64_t count);

 private:
  void shuffle(int64_t epoch);

  uint64_t seed_;
  uint64_t stream_;
  std::vector<uint64_t> ids_;
  std::vector<size_t> order_;  // of epoch_
  int64_t epoch_ = -1;
};

}  // namespace dlm
