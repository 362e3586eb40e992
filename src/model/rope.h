// Rotary embedding (Su et al. 2021) with the rules that stretch it for longer contexts, and the
// tables of cosines and sines that the engine rotates with.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/ops.h"

namespace dlm {

// One rule. "linear" divides every frequency by `factor`; "dynamic" raises theta with the row's
// length beyond the original context (NTK); "yarn" interpolates by frequency (Peng et al. 2023);
// "llama3" does so in bands of wavelengths (Llama 3.1); "longrope" divides each frequency by a
// learnt number, from another list above the original context (Ding et al. 2024).
struct RopeConfig {
  std::string type = "default";
  double theta = 10000.0;
  double partial_rotary_factor = 1.0;  // share of each head that rotates
  double factor = 1.0;
  double original_max_positions = 0;  // context of pre-training
  double attention_factor = 1.0;      // multiplies cosines and sines: yarn, longrope
  double low_freq_factor = 1.0;       // llama3
  double high_freq_factor = 4.0;      // llama3
  double beta_fast = 32.0;            // yarn: rotations over the original context
  double beta_slow = 1.0;             // yarn
  bool truncates_range = true;        // yarn: correction range to whole dimensions
  std::vector<double> short_factors;  // longrope, [rot / 2]
  std::vector<double> long_factors;   // longrope, [rot / 2]

  // Rotated elements of a head.
  int64_t rot(int64_t head_dim) const;
  // Equal for lengths whose rows are rotated alike. A cache of keys is worth nothing once the
  // number changes.
  int64_t variant(int64_t length) const;
  // Radians per position of each pair, [rot / 2], for rows of `length` tokens; rounded to f32, as
  // transformers holds them.
  std::vector<double> frequencies(int64_t head_dim, int64_t length) const;
};

// All names of rules.
const std::vector<std::string>& rope_types();

class RopeTables : public RopeSource {
 public:
  // For positions 0 .. positions - 1.
  RopeTables(RopeConfig config, int64_t head_dim, int64_t positions);

  std::shared_ptr<const RopeTable> table(int64_t length) const override;

 private:
  RopeConfig config_;
  int64_t head_dim_;
  int64_t positions_;
  // By variant; filled when asked for.
  mutable std::map<int64_t, std::shared_ptr<const RopeTable>> tables_;
};

}  // namespace dlm
