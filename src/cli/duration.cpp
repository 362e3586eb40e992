#include "cli/duration.h"

#include <charconv>
#include <string>

#include "support/error.h"

namespace dlm {

int64_t parse_duration(std::string_view text, std::string_view option) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, problem] = std::from_chars(text.data(), end, number);
  int64_t unit = 0;
  if (problem == std::errc() && end - at == 1) {
    switch (*at) {
      case 's':
        unit = 1;
        break;
      case 'm':
        unit = 60;
        break;
      case 'h':
        unit = 3600;
        break;
      case 'd':
        unit = 86'400;
        break;
      default:
        break;
    }
  }
  constexpr int64_t kLongest = int64_t{36'525} * 86'400;
  if (unit == 0 || number < 0 || number > kLongest / unit) {
    throw Error(ErrorKind::kUsage,
                std::string(option) + " \"" + std::string(text) + "\" is not a span of time",
                "write a whole number with a unit: 90d, 12h, 30m, 45s");
  }
  return number * unit;
}

}  // namespace dlm
