// Spans of time as they are written on the command line.
#pragma once

#include <cstdint>
#include <string_view>

namespace dlm {

// Seconds of "90d", "12h", "30m", "45s": a whole number with a unit, at most a hundred years.
// Throws Error(kUsage) that names `option`.
int64_t parse_duration(std::string_view text, std::string_view option);

}  // namespace dlm
