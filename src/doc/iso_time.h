// Whether text is a date or time of ISO 8601, as strictly as Python's datetime.fromisoformat. It
// gives no time value: documents keep such text as it was written.
#pragma once

#include <string_view>

namespace dlm {

// Dates 2026-04-23, 20260423, 2026-W17-4, 2026W174, 2026-W17; optionally Z, or one separator
// character and a time 20, 20:00, 20:00:00, 200000, with a fraction and an offset (Z, +00:00,
// +0000, -05:30:10).
bool is_iso_time(std::string_view text);

}  // namespace dlm
