#include "train/spread.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {

Spread spread_of(std::vector<double> values) {
  check(!values.empty(), "spread: no values");
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

}  // namespace dlm
