#include "data/row_weights.h"

#include <cmath>

#include "support/blake2b.h"
#include "support/error.h"

namespace dlm {

double keep_roll(int64_t seed, std::string_view section_id) {
  const std::string key = std::to_string(seed) + ":" + std::string(section_id);
  // A roll that rounds up to 1 would keep nothing; no weight has such a fraction either.
  return std::ldexp(static_cast<double>(blake2b_u64(key)), -64);
}

int64_t num_copies(double weight, int64_t seed, std::string_view section_id) {
  constexpr double kMost = 1e6;
  if (!std::isfinite(weight) || weight > kMost) {
    throw Error(ErrorKind::kTrain, "the weight of a row is not a number up to a million",
                "correct the weights of its tags in .dlm/training.yaml");
  }
  if (weight <= 0) return 0;
  const double whole = std::floor(weight);
  const double fraction = weight - whole;
  return static_cast<int64_t>(whole) + (fraction > 0 && keep_roll(seed, section_id) < fraction);
}

std::optional<WeightDistribution> weight_distribution(const DocumentRows& rows) {
  WeightDistribution counts;
  bool has_weights = false;
  for (const DocumentRow& row : rows.rows) {
    has_weights = has_weights || row.section->weight != 1.0;
    for (const auto& [tag, value] : row.section->tags) ++counts[tag][value];
  }
  if (!has_weights) return std::nullopt;
  return counts;
}

}  // namespace dlm
