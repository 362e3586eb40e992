#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "support/elementary.h"
#include "support/error.h"

namespace dlm {

namespace {

// A table of 4,096 positions and 64 pairs is 2 MiB; only "dynamic" ever needs more than two.
constexpr size_t kMaxTables = 16;

// Dimension whose wave turns `rotations` times within `positions` tokens.
double yarn_dimension(const RopeConfig& c, double rotations, double dim) {
  const double turns = c.original_max_positions / (rotations * 2.0 * std::numbers::pi);
  return dim * exact_log(turns) / (2.0 * exact_log(c.theta));
}

// 1 where a pair is kept as it is, 0 where it is interpolated by `factor`, a ramp between them.
double yarn_kept(const RopeConfig& c, int64_t pair, double dim) {
  double low = yarn_dimension(c, c.beta_fast, dim);
  double high = yarn_dimension(c, c.beta_slow, dim);
  if (c.truncates_range) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;
  return 1.0 - std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
}

double llama3_frequency(const RopeConfig& c, double f) {
  // Long waves are slowed by `factor`, short ones kept, those between interpolated.
  const double turns = c.original_max_positions * f / (2.0 * std::numbers::pi);
  if (turns < c.low_freq_factor) return f / c.factor;
  if (turns >= c.high_freq_factor) return f;
  const double smooth = (turns - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor);
  return (1.0 - smooth) * f / c.factor + smooth * f;
}

}  // namespace

const std::vector<std::string>& rope_types() {
  static const std::vector<std::string> types{"default", "linear", "dynamic",
                                              "yarn",    "llama3", "longrope"};
  return types;
}

int64_t RopeConfig::rot(int64_t head_dim) const {
  return static_cast<int64_t>(static_cast<double>(head_dim) * partial_rotary_factor);
}

int64_t RopeConfig::variant(int64_t length) const {
  const auto original = static_cast<int64_t>(original_max_positions);
  if (type == "longrope") return length > original ? 1 : 0;
  if (type == "dynamic") return std::max(length, original);
  return 0;
}

std::vector<double> RopeConfig::frequencies(int64_t head_dim, int64_t length) const {
  const int64_t half = rot(head_dim) / 2;
  const auto dim = static_cast<double>(rot(head_dim));
  double base = theta;
  if (type == "dynamic" && variant(length) > static_cast<int64_t>(original_max_positions)) {
    const double stretch =
        factor * static_cast<double>(length) / original_max_positions - (factor - 1.0);
    base *= exact_pow(stretch, dim / (dim - 2.0));
  }
  std::vector<double> all;
  for (int64_t i = 0; i < half; ++i) {
    double f = exact_pow(base, -2.0 * static_cast<double>(i) / dim);
    if (type == "linear") {
      f /= factor;
    } else if (type == "llama3") {
      f = llama3_frequency(*this, f);
    } else if (type == "yarn") {
      const double kept = yarn_kept(*this, i, dim);
      f = f / factor * (1.0 - kept) + f * kept;
    } else if (type == "longrope") {
      f /= (variant(length) == 1 ? long_factors : short_factors)[static_cast<size_t>(i)];
    }
    all.push_back(static_cast<double>(static_cast<float>(f)));
  }
  return all;
}

RopeTables::RopeTables(RopeConfig config, int64_t head_dim, int64_t positions)
    : config_(std::move(config)), head_dim_(head_dim), positions_(positions) {
  check(positions > 0, "rope: no positions");
}

std::shared_ptr<const RopeTable> RopeTables::table(int64_t length) const {
  const int64_t variant = config_.variant(length);
  if (const auto found = tables_.find(variant); found != tables_.end()) return found->second;
  if (tables_.size() >= kMaxTables) tables_.erase(tables_.begin());
  auto made = std::make_shared<RopeTable>();
  made->rot = config_.rot(head_dim_);
  const int64_t half = made->rot / 2;
  const std::vector<double> frequencies = config_.frequencies(head_dim_, length);
  // A table of "dynamic" serves one length.
  const int64_t positions = config_.type == "dynamic" ? std::min(positions_, variant) : positions_;
  made->cos.resize(static_cast<size_t>(positions * half));
  made->sin.resize(made->cos.size());
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p) * frequencies[static_cast<size_t>(i)];
      const auto at = static_cast<size_t>(p * half + i);
      made->cos[at] = static_cast<float>(exact_cos(angle) * config_.attention_factor);
      made->sin[at] = static_cast<float>(exact_sin(angle) * config_.attention_factor);
    }
  }
  tables_.emplace(variant, made);
  return made;
}

}  // namespace dlm
