#include "data/tag_weights.h"

namespace dlm {

void TagWeights::merge(const TagWeights& deeper) {
  for (const auto& [tag, values] : deeper.factors) {
    for (const auto& [value, factor] : values) factors[tag][value] = factor;
  }
}

double TagWeights::weight_of(const std::map<std::string, std::string>& tags) const {
  double weight = 1;
  for (const auto& [tag, values] : factors) {
    const auto written = tags.find(tag);
    if (written == tags.end()) continue;
    const auto factor = values.find(written->second);
    if (factor != values.end()) weight *= factor->second;
  }
  return weight;
}

}  // namespace dlm
