// The code block rules of CommonMark 0.30, section 4.5.
#include "doc/code_blocks.h"

namespace dlm {
namespace {

struct Fence {
  char character;
  size_t length;
  std::string_view info;  // what follows the fence
};

// length 0 when the line is no fence.
Fence read_fence(std::string_view line) {
  size_t indent = 0;
  while (indent < line.size() && line[indent] == ' ') ++indent;
  if (indent > 3 || indent == line.size()) return {0, 0, {}};
  const char c = line[indent];
  if (c != '`' && c != '~') return {0, 0, {}};
  const size_t end = line.find_first_not_of(c, indent);
  const size_t length = (end == std::string_view::npos ? line.size() : end) - indent;
  if (length < 3) return {0, 0, {}};
  return {c, length, line.substr(indent + length)};
}

}  // namespace

bool CodeBlockTracker::feed(std::string_view line) {
  const size_t number = num_lines_++;
  const Fence fence = read_fence(line);
  if (length_ == 0) {
    // Backticks behind a backtick fence make it inline code: ```x```.
    if (fence.length == 0 ||
        (fence.character == '`' && fence.info.find('`') != std::string_view::npos)) {
      return false;
    }
    character_ = fence.character;
    length_ = fence.length;
    opening_line_ = number;
    return true;
  }
  if (fence.character == character_ && fence.length >= length_ &&
      fence.info.find_first_not_of(" \t") == std::string_view::npos) {
    length_ = 0;
  }
  return true;
}

}  // namespace dlm
