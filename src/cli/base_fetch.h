// Fetching a base for a person: what it costs first, then a progress line.
#pragma once

#include <string>

#include "bases/pull.h"

namespace dlm {

// Fetches without asking again; `quiet` shows faults only. Returns what was planned.
PullPlan fetch_base(const std::string& base, bool quiet);
// The same, but asks first and fetches nothing without agreement. False when there was none.
bool offer_to_fetch(const std::string& base, bool quiet);

}  // namespace dlm
