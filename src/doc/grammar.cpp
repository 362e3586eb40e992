// The two body grammars over one list of lines. See the header.
#include "doc/grammar.h"

#include <algorithm>
#include <initializer_list>

#include "doc/code_blocks.h"
#include "doc/python_text.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

struct Line {
  std::string_view text;
  std::string_view trimmed;
  int file_line = 0;
  bool in_code = false;
};

// "### Q !probe", with any blanks before the "!".
bool is_probe_header(std::string_view trimmed) {
  if (!trimmed.starts_with("### Q")) return false;
  const std::string_view rest = trimmed.substr(5);
  return trim(rest) == "!probe" && rest.size() > 6;
}

// One line at a time: a section may be nearly the whole document.
class LineReader {
 public:
  LineReader(const Section& section, std::string_view path)
      : path_(path),
        content_(section.content),
        rest_(content_),
        file_line_(std::max(1, section.content_line)) {
    advance();
  }

  bool at_end() const { return at_end_; }
  std::string_view trimmed() const { return line_.trimmed; }
  bool is_header(std::string_view header) const {
    if (line_.in_code) return false;
    return line_.trimmed == header || (header == "### Q" && is_probe_header(line_.trimmed));
  }
  int file_line() const { return at_end() ? file_line_ : line_.file_line; }

  void advance() {
    if (next_part_ == parts_.size()) read_file_line();
    if (at_end_) return;
    line_.text = parts_[next_part_++];
    line_.trimmed = trim(line_.text);
  }

  void skip_blank_lines() {
    while (!at_end() && line_.trimmed.empty()) advance();
  }

  // The lines up to the next of the headers, joined by LF and trimmed.
  SharedText body(std::initializer_list<std::string_view> headers) {
    std::string_view lines;  // as they lie in the content
    std::string changed;     // what they mean, where other line ends than LF lie between them
    bool is_first = true, is_changed = false;
    for (; !at_end(); advance()) {
      if (std::any_of(headers.begin(), headers.end(),
                      [&](std::string_view header) { return is_header(header); })) {
        break;
      }
      const std::string_view line = line_.text;
      if (!is_first && !is_changed && !follows(lines, line)) {
        is_changed = true;
        changed = lines;
      }
      if (is_changed) {
        changed += '\n';
        changed += line;
      } else {
        lines = is_first ? line : std::string_view(lines.data(), lines.size() + 1 + line.size());
      }
      is_first = false;
    }
    return is_changed ? SharedText(std::string(trim(changed))) : content_.part(trim(lines));
  }

  [[noreturn]] void fail(const std::string& message, const std::string& hint, int line) const {
    throw Error(ErrorKind::kParse, message, hint, Place{std::string(path_), line, 1});
  }

 private:
  static bool follows(std::string_view lines, std::string_view line) {
    const char* const end = lines.data() + lines.size();
    return line.data() == end + 1 && *end == '\n';
  }

  // Old documents may hold other line ends inside a line: form feed, U+2028 and more.
  void read_file_line() {
    next_part_ = 0;
    parts_.clear();
    at_end_ = rest_.empty();
    if (at_end_) return;
    const size_t end = rest_.find('\n');
    const size_t length = end == std::string_view::npos ? rest_.size() : end + 1;
    line_.in_code = code_.feed(rest_.substr(0, end));
    line_.file_line = file_line_++;
    parts_ = split_python_lines(rest_.substr(0, length));
    rest_.remove_prefix(length);
  }

  std::string_view path_;
  SharedText content_;
  std::string_view rest_;
  int file_line_;  // of the line behind those that were read
  CodeBlockTracker code_;
  std::vector<std::string_view> parts_;  // of one line of the file
  size_t next_part_ = 0;
  Line line_;
  bool at_end_ = false;
};

const char* const kPairHint =
    "write '### Q', the question, '### A' and the answer, each header alone";
const char* const kTripleHint =
    "write '### Prompt', '### Chosen' and '### Rejected' in this order, each alone on its line";

}  // namespace

void for_each_pair(const Section& section, std::string_view path,
                   const std::function<void(QaPair)>& on_pair) {
  LineReader in(section, path);
  bool is_any = false;
  for (in.skip_blank_lines(); !in.at_end(); in.skip_blank_lines()) {
    const int line = in.file_line();
    if (!in.is_header("### Q")) {
      in.fail("expected `### Q` header alone on its line, got " + in_quotes(in.trimmed()),
              kPairHint, line);
    }
    QaPair pair;
    pair.line = line;
    pair.is_probe = in.trimmed() != "### Q";
    in.advance();
    pair.question = in.body({"### Q", "### A"});
    if (pair.question.empty()) {
      in.fail("### Q body is empty", "write the question below its header", in.file_line());
    }
    if (in.at_end()) {
      in.fail("### Q without matching `### A` at end of section", kPairHint, in.file_line());
    }
    if (!in.is_header("### A")) {
      in.fail("### Q must be followed by `### A` alone on its line, got " + in_quotes(in.trimmed()),
              kPairHint, in.file_line());
    }
    in.advance();
    pair.answer = in.body({"### Q", "### A"});
    if (pair.answer.empty()) {
      in.fail("### A body is empty", "write the answer below its header", in.file_line());
    }
    is_any = true;
    on_pair(std::move(pair));
  }
  if (!is_any) {
    in.fail("instruction section has no ### Q / ### A pairs", kPairHint, section.content_line);
  }
}

std::vector<QaPair> parse_instruction(const Section& section, std::string_view path) {
  std::vector<QaPair> pairs;
  for_each_pair(section, path, [&](QaPair pair) { pairs.push_back(std::move(pair)); });
  return pairs;
}

std::vector<PreferenceTriple> parse_preference(const Section& section, std::string_view path) {
  LineReader in(section, path);
  const auto part = [&](const std::string& header) {
    in.skip_blank_lines();
    if (in.at_end()) {
      in.fail("expected `" + header + "` header, got end of section", kTripleHint, in.file_line());
    }
    if (!in.is_header(header)) {
      in.fail("expected `" + header + "` header alone on its line, got " + in_quotes(in.trimmed()),
              kTripleHint, in.file_line());
    }
    in.advance();
    SharedText body = in.body({"### Prompt", "### Chosen", "### Rejected"});
    if (body.empty()) {
      in.fail("`" + header + "` body is empty", "write the text below its header", in.file_line());
    }
    return body;
  };
  std::vector<PreferenceTriple> triples;
  for (in.skip_blank_lines(); !in.at_end(); in.skip_blank_lines()) {
    PreferenceTriple triple;
    triple.line = in.file_line();
    triple.prompt = part("### Prompt");
    triple.chosen = part("### Chosen");
    triple.rejected = part("### Rejected");
    triples.push_back(std::move(triple));
  }
  if (triples.empty()) {
    in.fail("preference section has no ### Prompt / ### Chosen / ### Rejected triples", kTripleHint,
            section.content_line);
  }
  return triples;
}

}  // namespace dlm
