// Which sections of the history a run draws: weighted sampling without replacement (Efraimidis and
// Spirakis, "Weighted random sampling with a reservoir", 2006), with the random numbers of Python's
// random.Random, so that the same history gives the same draw in every program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace dlm {

enum class ReplayScheme { kUniform, kRecency };

struct ReplayCandidate {
  std::string section_id;
  double weight = 1;  // 0: never drawn
  double age = 0;     // since it was last seen, from 0: of training runs, or of days
};

// Up to k candidates, the one drawn first in front; all of them, by section id, when there are at
// most k. Under kRecency a candidate's weight is divided by 1 + age, but is 0.01 at least.
std::vector<ReplayCandidate> sample_replay(std::vector<ReplayCandidate> candidates, size_t k,
                                           uint64_t seed, ReplayScheme scheme);

// The first `count` values of random() after random.Random(seed): 53 bits in [0, 1).
std::vector<double> python_random(uint64_t seed, size_t count);

}  // namespace dlm
