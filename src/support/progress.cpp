// Layout and throttling of progress lines. Numbers are formatted without the locale.
#include "support/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace dlm {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kTerminalIntervalNs = 100 * kNsPerMs;
constexpr int64_t kPlainIntervalNs = 10'000 * kNsPerMs;
constexpr int kLongestBar = 30;
constexpr int kShortestBar = 8;

std::string amount(uint64_t units, const std::string& unit) {
  return unit == "B" ? format_bytes(units) : std::to_string(units);
}

// 0: not known yet.
double done_per_second(const ProgressState& state) {
  if (state.elapsed_s <= 0 || state.done <= state.done_before) return 0;
  return static_cast<double>(state.done - state.done_before) / state.elapsed_s;
}

std::string rate(const ProgressState& state) {
  const double per_second = done_per_second(state);
  if (per_second <= 0) return {};
  if (!std::isfinite(per_second) || per_second > 1e18) return {};
  if (state.unit == "B") return "  " + format_bytes(static_cast<uint64_t>(per_second)) + "/s";
  if (per_second < 0.1) return fmt::format("  {:.1f} s/{}", 1 / per_second, state.unit);
  return fmt::format("  {:.{}f} {}/s", per_second, per_second < 100 ? 1 : 0, state.unit);
}

std::string bar(double fraction, int width) {
  const int filled = static_cast<int>(fraction * width);
  return " [" + std::string(static_cast<size_t>(filled), '#') +
         std::string(static_cast<size_t>(width - filled), ' ') + "]";
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds >= 99.0 * 86400) return "-:--";
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  const int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60,
                rest = whole % 60;
  if (days > 0) return fmt::format("{}d {:02}:{:02}:{:02}", days, hours, minutes, rest);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, rest);
  return fmt::format("{}:{:02}", minutes, rest);
}

std::string format_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_progress(const ProgressState& state, int width) {
  std::string head = state.label;
  std::string tail = "  " + amount(state.done, state.unit);
  double fraction = 0;
  if (state.total > 0) {
    fraction = std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
    head += fmt::format(" {:3}%", static_cast<int>(fraction * 100));
    tail = " " + amount(state.done, state.unit) + "/" + amount(state.total, state.unit);
  }
  tail += rate(state);
  if (state.total > 0) {
    const auto left = static_cast<double>(state.total - std::min(state.total, state.done));
    const double per_second = done_per_second(state);
    const double seconds = per_second > 0 ? left / per_second : INFINITY;
    tail += "  ETA " + format_duration(left > 0 ? seconds : 0);
  }
  const std::string note = state.note.empty() ? "" : "  " + state.note;
  const int room = width - static_cast<int>(head.size() + tail.size() + note.size()) - 3;
  std::string line = head;
  if (state.total > 0 && room >= kShortestBar) line += bar(fraction, std::min(room, kLongestBar));
  line += tail;
  if (static_cast<int>(line.size() + note.size()) <= width) line += note;
  return line.substr(0, static_cast<size_t>(std::max(width, 0)));
}

ProgressTarget progress_target(std::FILE* stream) {
  ProgressTarget target{stream};
  const int descriptor = ::fileno(stream);
  const char* terminal = std::getenv("TERM");
  const bool is_dumb = terminal != nullptr && std::string_view(terminal) == "dumb";
  target.is_terminal = descriptor >= 0 && ::isatty(descriptor) == 1 && !is_dumb;
  const char* no_colour = std::getenv("NO_COLOR");
  target.has_colour = target.is_terminal && (no_colour == nullptr || *no_colour == '\0');
  winsize size{};
  if (target.is_terminal && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
    target.width = size.ws_col - 1;  // a full last column makes some terminals wrap
  }
  return target;
}

ProgressWriter::ProgressWriter(ProgressTarget target, const Clock& clock, std::string label,
                               uint64_t total, std::string unit, uint64_t done_before)
    : target_(target), clock_(clock), started_ns_(clock.monotonic_ns()), next_ns_(started_ns_) {
  state_.label = std::move(label);
  state_.total = total;
  state_.unit = std::move(unit);
  state_.done_before = done_before;
  if (!target_.is_terminal) next_ns_ += kPlainIntervalNs;
}

ProgressWriter::~ProgressWriter() {
  if (has_written_) finish();
}

void ProgressWriter::update(uint64_t done, std::string_view note) {
  state_.done = done;
  state_.note = note;
  const int64_t now = clock_.monotonic_ns();
  if (now < next_ns_) return;
  next_ns_ = now + (target_.is_terminal ? kTerminalIntervalNs : kPlainIntervalNs);
  write_state();
}

void ProgressWriter::write_state() {
  state_.elapsed_s = static_cast<double>(clock_.monotonic_ns() - started_ns_) / 1e9;
  std::string line = format_progress(state_, target_.is_terminal ? target_.width : 120);
  has_written_ = true;
  if (!target_.is_terminal) {
    std::fputs((line + "\n").c_str(), target_.stream);
  } else {
    if (target_.has_colour && line.starts_with(state_.label)) {
      line = "\x1b[1m" + state_.label + "\x1b[0m" + line.substr(state_.label.size());
    }
    // Back to the first column, erase to the end of the line, write.
    std::fputs(("\r\x1b[K" + line).c_str(), target_.stream);
    line_is_open_ = true;
  }
  std::fflush(target_.stream);
}

void ProgressWriter::print(std::string_view line) {
  if (line_is_open_) std::fputs("\r\x1b[K", target_.stream);
  std::fputs((std::string(line) + "\n").c_str(), target_.stream);
  if (line_is_open_) write_state();
  std::fflush(target_.stream);
}

void ProgressWriter::finish() {
  if (is_finished_) return;
  is_finished_ = true;
  write_state();
  if (line_is_open_) std::fputs("\n", target_.stream);
  line_is_open_ = false;
  std::fflush(target_.stream);
}

}  // namespace dlm
