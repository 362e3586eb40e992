// Progress lines as exact texts, and when they are written, on a clock that the test moves.
#include "support/progress.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmath>
#include <memory>

#include <gtest/gtest.h>

#include "fixed_clock.h"

namespace dlm {
namespace {

TEST(Progress, ShowsBarRateTimeLeftAndNote) {
  const ProgressState state{"train", 45, 100, 9.0, "it", "loss 2.113"};
  EXPECT_EQ(format_progress(state, 80),
            "train  45% [############                ] 45/100  5.0 it/s  ETA 0:11  loss 2.113");
  EXPECT_EQ(format_progress(state, 52), "train  45% 45/100  5.0 it/s  ETA 0:11  loss 2.113");
  EXPECT_EQ(format_progress(state, 45), "train  45% 45/100  5.0 it/s  ETA 0:11");
  EXPECT_EQ(format_progress(state, 10), "train  45%");
  EXPECT_EQ(format_progress(state, 0), "");
}

TEST(Progress, ShowsBytesInBinaryUnits) {
  EXPECT_EQ(format_progress({"get x", 3 << 20, 4 << 20, 2.0, "B", ""}, 60),
            "get x  75% [#######   ] 3.0 MiB/4.0 MiB  1.5 MiB/s  ETA 0:01");
}

TEST(Progress, KnowsBothEnds) {
  EXPECT_EQ(format_progress({"x", 0, 4, 0, "it", ""}, 40),
            "x   0% [                 ] 0/4  ETA -:--");
  EXPECT_EQ(format_progress({"x", 4, 4, 1, "it", ""}, 40), "x 100% 4/4  4.0 it/s  ETA 0:00");
  EXPECT_EQ(format_progress({"x", 9, 4, 1, "it", ""}, 30), "x 100% 9/4  9.0 it/s  ETA 0:00");
  EXPECT_EQ(format_progress({"x", 7, 0, 2, "row", ""}, 40), "x  7  3.5 row/s");
  EXPECT_EQ(format_progress({"x", 1, 10, 20, "step", ""}, 40),
            "x  10% 1/10  20.0 s/step  ETA 3:00");
  EXPECT_EQ(format_progress({"x", 60, 100, 5, "it", "", 50}, 40),
            "x  60% 60/100  2.0 it/s  ETA 0:20");
  EXPECT_EQ(format_progress({"x", 4, 4, 1, "it", "", 4}, 30), "x 100% 4/4  ETA 0:00");
  EXPECT_EQ(format_progress({"x", 50, 100, 5, "it", "", 50}, 40),
            "x  50% [#######       ] 50/100  ETA -:--");
}

TEST(Progress, FormatsDurations) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(754), "12:34");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(3 * 86400 + 4 * 3600 + 5 * 60 + 6), "3d 04:05:06");
  EXPECT_EQ(format_duration(1e300), "-:--");
  EXPECT_EQ(format_duration(NAN), "-:--");
  EXPECT_EQ(format_duration(-1), "-:--");
}

TEST(Progress, FormatsSizes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(uint64_t{2} << 30), "2.0 GiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");
}

// A stream in memory.
class Capture {
 public:
  Capture() : stream_(::open_memstream(&text_, &size_)) {}
  ~Capture() {
    std::fclose(stream_);
    std::free(text_);
  }
  std::FILE* stream() { return stream_; }
  std::string text() {
    std::fflush(stream_);
    return std::string(text_, size_);
  }

 private:
  char* text_ = nullptr;
  size_t size_ = 0;
  std::FILE* stream_;
};

TEST(Progress, WritesPlainLinesAtIntervalsWithoutATerminal) {
  Capture out;
  FixedClock clock(0);
  {
    ProgressWriter writer({out.stream(), false, false, 80}, clock, "train", 10);
    for (uint64_t done = 1; done <= 10; ++done) {
      clock.advance_ms(2500);
      writer.update(done);
    }
    writer.finish();
  }
  EXPECT_EQ(out.text(),
            "train  40% [############                  ] 4/10  0.4 it/s  ETA 0:15\n"
            "train  80% [########################      ] 8/10  0.4 it/s  ETA 0:05\n"
            "train 100% [##############################] 10/10  0.4 it/s  ETA 0:00\n");
}

TEST(Progress, RewritesOneLineOnATerminal) {
  Capture out;
  FixedClock clock(0);
  {
    ProgressWriter writer({out.stream(), true, false, 30}, clock, "x", 4);
    writer.update(1);
    writer.update(2);  // too soon
    clock.advance_ms(1000);
    writer.update(2);
    writer.print("warning: w");
  }
  EXPECT_EQ(out.text(),
            "\r\x1b[Kx  25% 1/4  ETA -:--"
            "\r\x1b[Kx  50% 2/4  2.0 it/s  ETA 0:01"
            "\r\x1b[Kwarning: w\n"
            "\r\x1b[Kx  50% 2/4  2.0 it/s  ETA 0:01"
            "\r\x1b[Kx  50% 2/4  2.0 it/s  ETA 0:01\n");
}

TEST(Progress, WritesNothingForShortWorkWithoutATerminal) {
  Capture out;
  FixedClock clock(0);
  {
    ProgressWriter writer({out.stream(), false, false, 80}, clock, "x", 2);
    writer.update(1);
  }
  EXPECT_EQ(out.text(), "");
}

TEST(Progress, ColoursTheLabelOnlyWhereColoursAreWanted) {
  Capture out;
  FixedClock clock(0);
  {
    ProgressWriter writer({out.stream(), true, true, 40}, clock, "x", 0);
    writer.update(5);
  }
  EXPECT_EQ(out.text(), "\r\x1b[K\x1b[1mx\x1b[0m  5\r\x1b[K\x1b[1mx\x1b[0m  5\n");
}

TEST(Progress, AStreamThatIsNoTerminalHasNoColour) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  const ProgressTarget target = progress_target(file.get());
  EXPECT_FALSE(target.is_terminal);
  EXPECT_FALSE(target.has_colour);
}

TEST(Progress, HonoursNoColorOnATerminal) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) {
    GTEST_SKIP() << "skipped: this machine gives no pseudo terminal";
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> terminal(std::fopen(::ptsname(master), "w"),
                                                                 &std::fclose);
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("NO_COLOR");
  EXPECT_TRUE(progress_target(terminal.get()).has_colour);
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_TRUE(progress_target(terminal.get()).is_terminal);
  EXPECT_FALSE(progress_target(terminal.get()).has_colour);
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(progress_target(terminal.get()).is_terminal);
  ::unsetenv("TERM");
  ::close(master);
}

}  // namespace
}  // namespace dlm
