#include "engine/random.h"

#include <cmath>
#include <numbers>

#include "support/elementary.h"

namespace dlm {

double normal(uint64_t key) {
  // 1 - u lies in (0, 1], so the logarithm is finite.
  const double u = 1.0 - uniform(key);
  const double v = uniform(key ^ 0xa5a5a5a5a5a5a5a5ULL);
  return std::sqrt(-2.0 * exact_log(u)) * exact_cos(2.0 * std::numbers::pi * v);
}

}  // namespace dlm
