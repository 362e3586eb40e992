// The checkpoint of a pretraining run: weights, moments, and the place in the text, in one file
// that appears whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/adamw.h"
#include "support/file.h"

namespace dlm {

inline constexpr const char* kPretrainStateFile = "checkpoint.safetensors";

struct PretrainState {
  int64_t step = 0;
  int64_t cursor = 0;  // RowSequence
};

// Of a run with the same settings. None when there is no checkpoint; throws Error(kUsage) for one
// of other settings, Error(kFormat) for a damaged one.
std::optional<PretrainState> find_pretrain_state(const fs::path& folder, std::string_view settings);

// Reads weights, moments and the number of steps.
void restore_pretrain_state(const fs::path& folder, AdamW& optimizer);

void save_pretrain_state(const fs::path& folder, const PretrainState& state,
                         std::string_view settings, AdamW& optimizer);

}  // namespace dlm
