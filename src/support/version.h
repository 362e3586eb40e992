// The version of this program.
#pragma once

namespace dlm {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace dlm
