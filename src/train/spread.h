// Several measurements of one thing, in short.
#pragma once

#include <vector>

namespace dlm {

// The median, with the smallest and the largest.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
Spread spread_of(std::vector<double> values);

}  // namespace dlm
