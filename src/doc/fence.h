// The lines that begin sections: ::type::, ::type#adapter:: and ::type key="value" …::. It reads
// single lines and knows nothing of code blocks or of what stands between fences.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "doc/section.h"
#include "support/error.h"

namespace dlm {

using Attributes = std::vector<std::pair<std::string, std::string>>;

// Whether the whole line has the form of a fence, with a known type or not.
bool looks_like_fence(std::string_view line);

// An empty section of the fence's type, with its adapter or media fields; none when the line is no
// fence. Throws Error(kParse) at `place` when it is one with a mistake.
std::optional<Section> read_fence(std::string_view line, const Place& place);

// What is off, when a line that is no fence was probably meant as one: blanks around it, a missing
// colon, quotes in a value. Empty for ordinary text.
std::string near_fence_fault(std::string_view line);

// A line that would be a fence is kept as text by a backslash before it. escape adds one where it
// is needed, unescape removes one.
std::string escape_fence(std::string_view line);
std::string_view unescape_fence(std::string_view line);

// (blank+ key="value")+ from `pos` on; moves `pos` behind the last pair read and returns none when
// no pair stands there. Values hold no quote; there are no escapes.
std::optional<Attributes> read_attributes(std::string_view line, size_t& pos);

}  // namespace dlm
