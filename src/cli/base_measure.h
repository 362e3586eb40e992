// dlm bases measure: how well a base predicts somebody's texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.h"

namespace dlm {

struct MeasureOptions {
  std::vector<std::string> texts;
  int64_t context = 512;
};

// Prints bits per byte of each text, and of all, on standard output. Returns the exit code.
int run_measure(const std::string& base, const MeasureOptions& options, bool as_json,
                const GlobalOptions& globals);

}  // namespace dlm
