// The progress line of a run that counts optimizer steps.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cli/console.h"
#include "support/clock.h"
#include "support/progress.h"

namespace dlm {

class StepProgress {
 public:
  explicit StepProgress(const char* name) : name_(name) {}

  // Of one step of `total`: its tokens, seconds and loss. Shows the loss and the rate so far.
  void update(int64_t step, int64_t total, int64_t tokens, double seconds, double loss) {
    if (!line_) {
      line_.emplace(progress_target(stderr), system_clock(), name_, static_cast<uint64_t>(total),
                    "step", static_cast<uint64_t>(step));
    }
    tokens_ += tokens;
    seconds_ += seconds;
    line_->update(static_cast<uint64_t>(step),
                  fmt::format("loss {:.4f}  {:.0f} tokens/s", loss,
                              static_cast<double>(tokens_) / std::max(1e-9, seconds_)));
  }

  void finish() {
    if (line_) line_->finish();
    line_.reset();
  }

 private:
  const char* name_;
  std::optional<ProgressWriter> line_;
  int64_t tokens_ = 0;
  double seconds_ = 0;
};

}  // namespace dlm
