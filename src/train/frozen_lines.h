// The residual stream below the lowest adapter, kept from the first pass over a row to later ones:
// nothing there trains, so it depends on the row's tokens alone. Lives in memory, for one run with
// one base.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/exec.h"

namespace dlm {

class RowLines : public FrozenLines {
 public:
  // Keeps up to so many bytes of lines of `hidden_size` numbers; rows that come later are computed
  // each time.
  RowLines(int64_t hidden_size, uint64_t max_bytes)
      : hidden_size_(static_cast<size_t>(hidden_size)), max_bytes_(max_bytes) {}

  bool load(const Batch& batch, float* lines) override;
  void store(const Batch& batch, const float* lines) override;

  uint64_t held_bytes() const { return held_bytes_; }

 private:
  using Tokens = std::vector<int32_t>;
  struct Hash {
    size_t operator()(const Tokens& tokens) const;
  };
  static Tokens tokens_of(const Batch& batch, const BatchRow& row);

  size_t hidden_size_;
  uint64_t max_bytes_;
  uint64_t held_bytes_ = 0;
  std::unordered_map<Tokens, std::vector<float>, Hash> lines_;
};

}  // namespace dlm
