// How often a row is trained, by its tags: factors of `tag: value` pairs, as `.dlm/training.yaml`
// writes them for the folder it lies in and what is below.
#pragma once

#include <map>
#include <string>

namespace dlm {

struct TagWeights {
  std::map<std::string, std::map<std::string, double>> factors;  // tag, value: finite, at least 0

  bool empty() const { return factors.empty(); }
  // Adds the factors of a deeper folder; they replace those of the same tag and value.
  void merge(const TagWeights& deeper);
  // The product of the factors that fit the tags; 1 when none does.
  double weight_of(const std::map<std::string, std::string>& tags) const;
};

}  // namespace dlm
