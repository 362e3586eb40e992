// How often a row is trained, from the weight that its tags have. The whole part of the weight is
// the number of copies; the rest is the chance of one more, drawn once for each section and seed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "data/rows.h"

namespace dlm {

// In [0, 1): the same for all rows of a section.
double keep_roll(int64_t seed, std::string_view section_id);

// 0 for a weight of 0 or less. Throws Error(kTrain) for a weight that is not a number, or is beyond
// a million.
int64_t num_copies(double weight, int64_t seed, std::string_view section_id);

// Rows by tag and value before copies are made; none when no row has a weight other than 1.
using WeightDistribution = std::map<std::string, std::map<std::string, int64_t>>;
std::optional<WeightDistribution> weight_distribution(const DocumentRows& rows);

}  // namespace dlm
