// UTC as text and back, at the edges of the calendar.
#include "support/clock.h"

#include <array>

#include <gtest/gtest.h>

#include "fixed_clock.h"
#include "support/error.h"

namespace dlm {
namespace {

TEST(Clock, FormatsUtc) {
  EXPECT_EQ(format_utc(1'776'506'400), "2026-04-18T10:00:00");
  EXPECT_EQ(format_utc_compact(1'776'506'400), "20260418T100000");
  EXPECT_EQ(format_utc_us(1'776'506'400'000'001), "2026-04-18T10:00:00.000001Z");
  EXPECT_EQ(format_utc(0), "1970-01-01T00:00:00");
  EXPECT_EQ(format_utc(-1), "1969-12-31T23:59:59");
  EXPECT_EQ(format_utc_us(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_utc(951'782'400), "2000-02-29T00:00:00");
  EXPECT_EQ(format_utc(253'402'300'799), "9999-12-31T23:59:59");
  EXPECT_EQ(format_utc(-62'135'596'800), "0001-01-01T00:00:00");
  EXPECT_THROW(format_utc(253'402'300'800), Error);
  EXPECT_THROW(format_utc(-62'135'596'801), Error);
}

TEST(Clock, ReadsTheFormsThatProgramsWrite) {
  const int64_t ten = 1'776'506'400'000'000;
  EXPECT_EQ(parse_utc("2026-04-18T10:00:00"), ten);
  EXPECT_EQ(parse_utc("2026-04-18 10:00:00"), ten);
  EXPECT_EQ(parse_utc("2026-04-18T10:00"), ten);
  EXPECT_EQ(parse_utc("2026-04-18T10:00:00Z"), ten);
  EXPECT_EQ(parse_utc("2026-04-18T12:30:00+02:30"), ten);
  EXPECT_EQ(parse_utc("2026-04-18T05:00:00-0500"), ten);
  EXPECT_EQ(parse_utc("2026-04-18T10:00:00.000001"), ten + 1);
  EXPECT_EQ(parse_utc("2026-04-18T10:00:00.5Z"), ten + 500'000);
  EXPECT_EQ(parse_utc("2026-04-18T10:00:00.0000019Z"), ten + 1);
}

TEST(Clock, RefusesWhatIsNoTime) {
  for (const char* text : {"", "2026", "2026-04-18", "2026-13-18T10:00:00", "2026-02-29T10:00:00",
                           "2026-04-18T24:00:00", "2026-04-18T10:60:00", "2026-04-18T10:00:60",
                           "2026-04-18T10:00:00.", "2026-04-18T10:00:00z1", "2026-04-18T10:00:00+2",
                           "2026-04-18T10:00:00+24:00", "2026-4-18T10:00:00", "2026-04-18X10:00:00",
                           "0000-01-01T00:00:00", "-026-04-18T10:00:00", "2026-04-18T10:00:00 "}) {
    EXPECT_EQ(parse_utc(text), std::nullopt) << text;
  }
}

TEST(Clock, RoundTripsEveryDayOfFourCenturies) {
  for (int64_t day = 0; day < 146'097; ++day) {
    const int64_t seconds = day * 86400 + 43'210;
    ASSERT_EQ(parse_utc(format_utc(seconds)), seconds * 1'000'000) << format_utc(seconds);
  }
}

TEST(Clock, WholeSecondsRoundDown) {
  EXPECT_EQ(FixedClock(1'999'999).unix_seconds(), 1);
  EXPECT_EQ(FixedClock(-1).unix_seconds(), -1);
}

TEST(Clock, OfTheSystemMovesOn) {
  EXPECT_GT(system_clock().unix_us(), 1'700'000'000'000'000);
  const int64_t before = system_clock().monotonic_ns();
  EXPECT_LE(before, system_clock().monotonic_ns());
}

TEST(Clock, SystemRandomnessFillsTheWholeSpan) {
  std::array<std::byte, 64> first{}, second{};
  os_random(first);
  os_random(second);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace dlm
