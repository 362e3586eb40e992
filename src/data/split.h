// Which rows are held out to judge the weights by. Rows that say nearly the same stay together, and
// a cluster's side follows from what its rows say and the seed alone: a row that is added moves no
// row but those that it is like.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "data/near_duplicates.h"

namespace dlm {

struct SplitRow {
  ComparedRow content;
  bool must_train = false;  // replayed rows, and with them all that say the same
};

// A cluster with more rows is always trained: it is a large part of what is to be learned.
inline constexpr size_t kLargestHeldOutCluster = 16;

// True for the rows that are held out, about `fraction` of them; none when no other row were left.
// `row_at` gives row i.
std::vector<bool> held_out_rows(size_t num_rows, const std::function<SplitRow(size_t i)>& row_at,
                                int64_t seed, double fraction);

}  // namespace dlm
