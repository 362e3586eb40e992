#include "store/replay_sampler.h"

#include <algorithm>
#include <array>
#include <random>

#include "support/elementary.h"

namespace dlm {

namespace {

constexpr size_t kWords = std::mt19937::state_size;

// The state that init_by_array of the Mersenne Twister's reference implementation (Matsumoto and
// Nishimura, 2002) makes of a key; std::seed_seq makes another.
class InitByArray {
 public:
  using result_type = uint32_t;

  // The key is the number in 32-bit words, the lowest first; at least one word.
  explicit InitByArray(uint64_t number) {
    do {
      key_.push_back(static_cast<uint32_t>(number));
      number >>= 32;
    } while (number != 0);
  }

  template <typename Iterator>
  void generate(Iterator first, Iterator last) const {
    const std::array<uint32_t, kWords> state = make();
    std::copy_n(state.begin(), std::min<size_t>(kWords, static_cast<size_t>(last - first)), first);
  }

 private:
  std::array<uint32_t, kWords> make() const {
    std::array<uint32_t, kWords> mt{};
    mt[0] = 19650218u;
    for (size_t i = 1; i < kWords; ++i) mt[i] = 1812433253u * before(mt, i) + word(i);
    size_t i = 1, j = 0;
    const auto advance = [&] {
      if (++i < kWords) return;
      mt[0] = mt[kWords - 1];
      i = 1;
    };
    for (size_t k = std::max(kWords, key_.size()); k > 0; --k) {
      mt[i] = (mt[i] ^ (before(mt, i) * 1664525u)) + key_[j] + word(j);
      advance();
      if (++j == key_.size()) j = 0;
    }
    for (size_t k = kWords - 1; k > 0; --k) {
      mt[i] = (mt[i] ^ (before(mt, i) * 1566083941u)) - word(i);
      advance();
    }
    mt[0] = 0x80000000u;
    return mt;
  }

  static uint32_t before(const std::array<uint32_t, kWords>& mt, size_t i) {
    return mt[i - 1] ^ (mt[i - 1] >> 30);
  }
  static uint32_t word(size_t i) { return static_cast<uint32_t>(i); }

  std::vector<uint32_t> key_;
};

class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed) {
    InitByArray state(seed);
    engine_.seed(state);
  }

  double next() {
    const uint32_t high = draw() >> 5, low = draw() >> 6;
    return (static_cast<double>(high) * 67108864.0 + static_cast<double>(low)) / 9007199254740992.0;
  }

 private:
  uint32_t draw() { return static_cast<uint32_t>(engine_()); }
  std::mt19937 engine_;
};

double effective_weight(const ReplayCandidate& candidate, ReplayScheme scheme) {
  if (scheme == ReplayScheme::kUniform) return 1.0;
  constexpr double kLeast = 0.01;
  return std::max(candidate.weight / (1.0 + candidate.age), kLeast);
}

}  // namespace

std::vector<ReplayCandidate> sample_replay(std::vector<ReplayCandidate> candidates, size_t k,
                                           uint64_t seed, ReplayScheme scheme) {
  std::erase_if(candidates, [](const ReplayCandidate& c) { return !(c.weight > 0); });
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const ReplayCandidate& a, const ReplayCandidate& b) {
                     return a.section_id < b.section_id;
                   });
  if (k >= candidates.size()) return candidates;
  PythonRandom random(seed);
  struct Drawn {
    double key;
    size_t index;
  };
  std::vector<Drawn> drawn;
  for (size_t i = 0; i < candidates.size(); ++i) {
    double u = random.next();
    if (u == 0) u = random.next();
    if (u == 0) u = 1e-300;
    drawn.push_back({exact_log(u) / effective_weight(candidates[i], scheme), i});
  }
  std::sort(drawn.begin(), drawn.end(), [](const Drawn& a, const Drawn& b) {
    return a.key != b.key ? a.key > b.key : a.index > b.index;
  });
  std::vector<ReplayCandidate> picked;
  for (size_t i = 0; i < k; ++i) picked.push_back(std::move(candidates[drawn[i].index]));
  return picked;
}

std::vector<double> python_random(uint64_t seed, size_t count) {
  PythonRandom random(seed);
  std::vector<double> values(count);
  for (double& value : values) value = random.next();
  return values;
}

}  // namespace dlm
