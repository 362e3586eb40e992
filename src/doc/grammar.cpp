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
  int file_line;
  bool in_code;
};

// "### Q !probe", with any blanks before the "!".
bool is_probe_header(std::string_view trimmed) {
  if (!trimmed.starts_with("### Q")) return false;
  const std::string_view rest = trimmed.substr(5);
  return trim(rest) == "!probe" && rest.size() > 6;
}

class LineReader {
 public:
  LineReader(const Section& section, std::string_view path) : path_(path) {
    CodeBlockTracker code;
    file_line_ = std::max(1, section.content_line);
    std::string_view rest = section.content;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const bool in_code = code.feed(rest.substr(0, end));
      const size_t length = end == std::string_view::npos ? rest.size() : end + 1;
      // Old documents may hold other line ends inside a line: form feed, U+2028 and more.
      for (const std::string_view part : split_python_lines(rest.substr(0, length))) {
        lines_.push_back({part, trim(part), file_line_, in_code});
      }
      ++file_line_;
      rest.remove_prefix(length);
    }
  }

  bool at_end() const { return next_ == lines_.size(); }
  std::string_view trimmed() const { return lines_[next_].trimmed; }
  bool is_header(std::string_view header) const {
    const Line& line = lines_[next_];
    if (line.in_code) return false;
    return line.trimmed == header || (header == "### Q" && is_probe_header(line.trimmed));
  }
  int file_line() const { return at_end() ? file_line_ : lines_[next_].file_line; }
  void advance() { ++next_; }
  void skip_blank_lines() {
    while (!at_end() && lines_[next_].trimmed.empty()) ++next_;
  }

  // The lines up to the next of the headers, joined by LF and trimmed.
  std::string body(std::initializer_list<std::string_view> headers) {
    std::string text;
    bool is_first = true;
    for (; !at_end(); ++next_) {
      for (const std::string_view header : headers) {
        if (is_header(header)) return std::string(trim(text));
      }
      if (!is_first) text += '\n';
      is_first = false;
      text += lines_[next_].text;
    }
    return std::string(trim(text));
  }

  [[noreturn]] void fail(const std::string& message, const std::string& hint, int line) const {
    throw Error(ErrorKind::kParse, message, hint, Place{std::string(path_), line, 1});
  }

 private:
  std::string_view path_;
  std::vector<Line> lines_;
  size_t next_ = 0;
  int file_line_ = 0;  // of the line behind the last one
};

const char* const kPairHint =
    "write '### Q', the question, '### A' and the answer, each header alone";
const char* const kTripleHint =
    "write '### Prompt', '### Chosen' and '### Rejected' in this order, each alone on its line";

}  // namespace

std::vector<QaPair> parse_instruction(const Section& section, std::string_view path) {
  LineReader in(section, path);
  std::vector<QaPair> pairs;
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
    pairs.push_back(std::move(pair));
  }
  if (pairs.empty()) {
    in.fail("instruction section has no ### Q / ### A pairs", kPairHint, section.content_line);
  }
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
    std::string body = in.body({"### Prompt", "### Chosen", "### Rejected"});
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
