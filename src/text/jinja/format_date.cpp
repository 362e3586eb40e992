// Dates as text, without the locale.
#include "text/jinja/interpreter.h"

namespace dlm::jinja {

namespace {

constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                   "May",       "June",     "July",     "August",
                                   "September", "October",  "November", "December"};
constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};

bool is_leap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int day_of_year(const DateTime& date) {
  constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  return kBefore[date.month - 1] + date.day + (date.month > 2 && is_leap(date.year) ? 1 : 0);
}

// 0 is Sunday. The days since 1 January of year 1, a Monday, modulo 7.
int day_of_week(const DateTime& date) {
  const int years = date.year - 1;
  return (years + years / 4 - years / 100 + years / 400 + day_of_year(date)) % 7;
}

std::string padded(int number, size_t width, char fill = '0') {
  std::string text = std::to_string(number);
  return text.size() < width ? std::string(width - text.size(), fill) + text : text;
}

}  // namespace

std::string format_date(std::string_view format, const DateTime& date) {
  const int hour12 = date.hour % 12 == 0 ? 12 : date.hour % 12;
  const std::string month = kMonths[date.month - 1], day = kDays[day_of_week(date)];
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    char letter = format[++i];
    // "%-d" drops the padding.
    const bool bare = letter == '-' && i + 1 < format.size();
    if (bare) letter = format[++i];
    const size_t two = bare ? 1 : 2;
    switch (letter) {
      case 'Y':
        out += std::to_string(date.year);
        break;
      case 'y':
        out += padded(date.year % 100, two);
        break;
      case 'm':
        out += padded(date.month, two);
        break;
      case 'd':
        out += padded(date.day, two);
        break;
      case 'e':
        out += padded(date.day, two, ' ');
        break;
      case 'H':
        out += padded(date.hour, two);
        break;
      case 'I':
        out += padded(hour12, two);
        break;
      case 'M':
        out += padded(date.minute, two);
        break;
      case 'S':
        out += padded(date.second, two);
        break;
      case 'p':
        out += date.hour < 12 ? "AM" : "PM";
        break;
      case 'B':
        out += month;
        break;
      case 'b':
      case 'h':
        out += month.substr(0, 3);
        break;
      case 'A':
        out += day;
        break;
      case 'a':
        out += day.substr(0, 3);
        break;
      case 'j':
        out += padded(day_of_year(date), bare ? 1 : 3);
        break;
      case 'w':
        out += std::to_string(day_of_week(date));
        break;
      case 'F':
        out += format_date("%Y-%m-%d", date);
        break;
      case 'T':
        out += format_date("%H:%M:%S", date);
        break;
      case '%':
        out += '%';
        break;
      default:
        out += '%';
        out += letter;
    }
  }
  return out;
}

}  // namespace dlm::jinja
