// Which lines of Markdown text lie inside fenced code blocks, by the rules of CommonMark: a fence
// of three or more backticks or tildes, indented by at most three blanks, closed by a fence of the
// same character that is at least as long and has no words behind it.
#pragma once

#include <cstddef>
#include <string_view>

namespace dlm {

class CodeBlockTracker {
 public:
  // Whether this line belongs to a code block (its fences included). Lines come in order, without
  // LF.
  bool feed(std::string_view line);

  bool is_open() const { return length_ > 0; }
  char character() const { return character_; }  // of the open fence
  // Of the line that opened the block, counting fed lines from 0.
  size_t opening_line() const { return opening_line_; }

 private:
  char character_ = 0;
  size_t length_ = 0;  // of the open fence; 0 when there is none
  size_t opening_line_ = 0;
  size_t num_lines_ = 0;
};

}  // namespace dlm
