// ISO 8601 dates and times, checked part by part. See the header.
#include "doc/iso_time.h"

#include <algorithm>

#include "support/text.h"

namespace dlm {
namespace {

// Reads exactly `count` digits; -1 when they are not there.
int take_digits(std::string_view& text, size_t count) {
  if (text.size() < count) return -1;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take_char(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

bool is_leap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_in_month(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDays[month - 1];
}

// 53 weeks when the year begins on a Thursday, or on a Wednesday of a leap year.
int weeks_in_year(int year) {
  const int y = year - 1;
  const int first_weekday = (y * 365 + y / 4 - y / 100 + y / 400) % 7;  // 0 is Monday
  return first_weekday == 3 || (first_weekday == 2 && is_leap(year)) ? 53 : 52;
}

// Takes the date from the front of `text`.
bool take_date(std::string_view& text) {
  const int year = take_digits(text, 4);
  if (year < 1) return false;
  const bool has_dash = take_char(text, '-');
  if (take_char(text, 'W')) {
    const int week = take_digits(text, 2);
    if (week < 1 || week > weeks_in_year(year)) return false;
    const bool has_day =
        has_dash ? take_char(text, '-') : !text.empty() && text[0] >= '0' && text[0] <= '9';
    if (!has_day) return true;
    const int day = take_digits(text, 1);
    return day >= 1 && day <= 7;
  }
  const int month = take_digits(text, 2);
  if (month < 1 || month > 12 || take_char(text, '-') != has_dash) return false;
  const int day = take_digits(text, 2);
  return day >= 1 && day <= days_in_month(year, month);
}

// HH[:MM[:SS[.fraction]]] with or without the colons, whole text.
bool is_clock(std::string_view text, bool is_offset) {
  const int hour = take_digits(text, 2);
  if (hour < 0 || hour > 23) return false;
  if (text.empty()) return true;
  const bool has_colon = take_char(text, ':');
  const int minute = take_digits(text, 2);
  if (minute < 0 || minute > 59) return false;
  if (text.empty()) return true;
  if (take_char(text, ':') != has_colon) return false;
  const int second = take_digits(text, 2);
  if (second < 0 || second > 59) return false;
  if (text.empty()) return true;
  if (!take_char(text, '.') && (is_offset || !take_char(text, ','))) return false;
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool is_iso_time(std::string_view text) {
  if (!take_date(text)) return false;
  if (text.empty() || text == "Z") return true;
  const auto separator =
      static_cast<size_t>(std::max(1, utf8_length(static_cast<unsigned char>(text[0]))));
  if (separator >= text.size()) return false;
  text.remove_prefix(separator);
  const size_t sign = text.find_first_of("+-Z");
  if (sign == std::string_view::npos) return is_clock(text, false);
  const std::string_view offset = text.substr(sign + 1);
  if (!is_clock(text.substr(0, sign), false)) return false;
  return text[sign] == 'Z' ? offset.empty() : is_clock(offset, true);
}

}  // namespace dlm
