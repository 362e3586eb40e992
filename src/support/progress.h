// A progress line: what is done, how fast, how long still. ProgressLine turns numbers into text and
// knows no clock; ProgressWriter decides when to write it, over one line on a terminal and as plain
// lines at intervals elsewhere. Neither decides where text goes: the stream comes from the caller.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "support/clock.h"

namespace dlm {

struct ProgressState {
  std::string label;   // "train", "download tokenizer.json"
  uint64_t done = 0;   // units of work
  uint64_t total = 0;  // 0: not known
  double elapsed_s = 0;
  std::string unit = "it";   // "B" prints binary sizes, others plain counts
  std::string note;          // "loss 2.113", after the numbers
  uint64_t done_before = 0;  // when the clock was started: it adds nothing to the rate
};

// One line of at most `width` columns (bytes of ASCII), without colours and without a line end:
//   train  45% [#########           ] 45/100  12.3 it/s  ETA 0:04  loss 2.113
// The bar gives way first, then the note. A total of 0 leaves percentage, bar and ETA out.
std::string format_progress(const ProgressState& state, int width);

// "0:04", "12:34", "1:02:03", "3d 04:05:06"; "-:--" when not finite or beyond 99 days.
std::string format_duration(double seconds);
// "512 B", "1.5 KiB", "2.0 GiB"
std::string format_bytes(uint64_t bytes);

struct ProgressTarget {
  std::FILE* stream = nullptr;  // not owned
  bool is_terminal = false;
  bool has_colour = false;
  int width = 80;
};

// Looks at the descriptor, its window size, NO_COLOR and TERM=dumb.
ProgressTarget progress_target(std::FILE* stream);

class ProgressWriter {
 public:
  // Writes at most every 100 ms on a terminal and every 10 s elsewhere.
  ProgressWriter(ProgressTarget target, const Clock& clock, std::string label, uint64_t total,
                 std::string unit = "it", uint64_t done_before = 0);
  ~ProgressWriter();  // as finish(), without a line when nothing was written
  ProgressWriter(const ProgressWriter&) = delete;
  ProgressWriter& operator=(const ProgressWriter&) = delete;

  void update(uint64_t done, std::string_view note = {});
  // A line for the reader above the progress line.
  void print(std::string_view line);
  // Writes the last state and ends the line.
  void finish();

 private:
  void write_state();

  ProgressTarget target_;
  const Clock& clock_;
  ProgressState state_;
  int64_t started_ns_;
  int64_t next_ns_;
  bool line_is_open_ = false;
  bool has_written_ = false;
  bool is_finished_ = false;
};

}  // namespace dlm
