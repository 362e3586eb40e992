// The body tokenizer. A fence is read before the section above it is closed, so of two mistakes the
// one in the fence is reported. A section's lines are not copied, but where one of them is
// written otherwise than it is meant.
#include "doc/body_parser.h"

#include <string>

#include "doc/code_blocks.h"
#include "doc/fence.h"
#include "doc/markers.h"
#include "doc/python_text.h"
#include "support/text.h"

namespace dlm {
namespace {

class BodyParser {
 public:
  BodyParser(const SharedText& text, int first_line, WarningSink& warnings)
      : text_(text), first_line_(first_line), warnings_(warnings) {
    current_.start_line = first_line;
    current_.content_line = first_line;
  }

  void feed(std::string_view line) {
    const int number = first_line_ + num_lines_++;
    const bool in_code = code_.feed(line);
    if (!in_code) {
      if (auto section = read_fence(line, place(number))) {
        flush();
        current_ = std::move(*section);
        current_.start_line = number;
        current_.content_line = number + 1;
        return;
      }
      warn_near_fence(line, number);
    }
    if (in_code && current_.type != SectionType::kProse) warn_header_in_code(line, number);
    add_line(line, in_code ? line : unescape_fence(line));
  }

  std::vector<Section> finish() {
    if (code_.is_open()) {
      const bool is_backtick = code_.character() == '`';
      throw Error(ErrorKind::kParse,
                  std::string("unterminated ") +
                      (is_backtick ? "triple-backtick code block" : "~~~ code block") +
                      ", which opens here",
                  std::string("close it with a line of ") + (is_backtick ? "```" : "~~~"),
                  place(first_line_ + static_cast<int>(code_.opening_line())));
    }
    flush();
    return std::move(sections_);
  }

 private:
  Place place(int line) const { return {warnings_.path(), line, 1}; }

  // Lines of a section follow each other in the body, a line end between them.
  void add_line(std::string_view line, std::string_view meant) {
    if (!is_changed_ && meant.data() == line.data()) {
      lines_ = at_head_ ? line : std::string_view(lines_.data(), lines_.size() + 1 + line.size());
    } else {
      if (!is_changed_) content_ = lines_;
      is_changed_ = true;
      if (!at_head_) content_ += '\n';
      content_ += meant;
    }
    at_head_ = false;
  }

  // Closes the current section. Prose of nothing but white space is dropped.
  void flush() {
    const bool has_marks =
        current_.type == SectionType::kInstruction || current_.type == SectionType::kPreference;
    std::string_view rest = is_changed_ ? content_ : lines_;
    while (has_marks) {
      const size_t end = rest.find('\n');
      if (!read_marker(rest.substr(0, end), current_, place(current_.content_line))) break;
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
      ++current_.content_line;
    }
    current_.content = is_changed_ ? SharedText(std::string(rest)) : text_.part(rest);
    if (current_.type != SectionType::kProse || !trim(rest).empty()) {
      sections_.push_back(std::move(current_));
    }
    current_ = {};
    lines_ = {};
    content_.clear();
    is_changed_ = false;
    at_head_ = true;
  }

  void warn_near_fence(std::string_view line, int number) {
    const std::string fault = near_fence_fault(line);
    if (fault.empty()) return;
    warnings_.add(in_quotes(line) + " looks like a section fence but is read as text: " + fault,
                  number, 1);
  }

  void warn_header_in_code(std::string_view line, int number) {
    const std::string_view header = trim(line);
    if (!header.starts_with("### ")) return;
    for (const char* word : {"### Q", "### A", "### Prompt", "### Chosen", "### Rejected"}) {
      if (header != word) continue;
      warnings_.add(in_quotes(header) +
                        " is read as text: it lies in the code block that opens on line " +
                        std::to_string(first_line_ + static_cast<int>(code_.opening_line())),
                    number, 1);
    }
  }

  const SharedText& text_;
  int first_line_;
  WarningSink& warnings_;
  CodeBlockTracker code_;
  int num_lines_ = 0;
  Section current_;
  std::string_view lines_;   // of the section, in the body
  std::string content_;      // what they mean, where that differs
  bool is_changed_ = false;  // whether it does
  bool at_head_ = true;      // no content line yet
  std::vector<Section> sections_;
};

}  // namespace

std::vector<Section> parse_body(const SharedText& text, int first_line, WarningSink& warnings) {
  std::string_view body = text;
  // One line end directly behind the frontmatter and one at the end belong to no section.
  if (body.starts_with('\n')) {
    body.remove_prefix(1);
    ++first_line;
  }
  if (body.ends_with('\n')) body.remove_suffix(1);
  BodyParser parser(text, first_line, warnings);
  while (!body.empty()) {
    const size_t end = body.find('\n');
    parser.feed(body.substr(0, end));
    if (end == std::string_view::npos) break;
    body.remove_prefix(end + 1);
    if (body.empty()) parser.feed({});  // the text ended in a line end: one empty line more
  }
  return parser.finish();
}

}  // namespace dlm
