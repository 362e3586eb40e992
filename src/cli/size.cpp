#include "cli/size.h"

#include <charconv>
#include <cmath>
#include <string>

#include "support/error.h"
#include "support/text.h"

namespace dlm {

uint64_t parse_size(std::string_view text, std::string_view option) {
  const auto fail = [&]() -> uint64_t {
    throw Error(ErrorKind::kUsage,
                std::string(option) + " \"" + std::string(text) + "\" is not a size",
                "write a number with a unit: 900M, 1.5G");
  };
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [at, problem] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (problem != std::errc() || !std::isfinite(number)) return fail();
  std::string unit = lower_ascii({at, static_cast<size_t>(end - at)});
  if (unit.ends_with("ib")) {
    unit.resize(unit.size() - 2);
    if (unit.empty()) return fail();
  } else if (unit.ends_with("b")) {
    unit.resize(unit.size() - 1);
  }
  int shift = 0;
  if (unit == "k") {
    shift = 10;
  } else if (unit == "m") {
    shift = 20;
  } else if (unit == "g") {
    shift = 30;
  } else if (unit == "t") {
    shift = 40;
  } else if (!unit.empty()) {
    return fail();
  }
  const double bytes = std::ldexp(number, shift);
  if (bytes < 1 || bytes >= 9.2e18) return fail();
  return static_cast<uint64_t>(bytes);
}

}  // namespace dlm
