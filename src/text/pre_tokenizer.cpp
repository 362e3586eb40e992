// Pre-tokenizers as a chain of steps; each step hands its pieces to the next one.
#include "text/pre_tokenizer.h"

#include <utf8proc.h>

#include "text/byte_alphabet.h"
#include "text/fields.h"
#include "text/normalizer.h"

namespace dlm {

namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxSteps = 16;

constexpr std::string_view kWhitespacePattern = R"(\w+|[^\w\s]+)";

utf8proc_int32_t read_code_point(std::string_view text, size_t at, size_t& length) {
  length = 1;
  if (const auto byte = static_cast<unsigned char>(text[at]); byte < 0x80) return byte;
  utf8proc_int32_t code_point = -1;
  const utf8proc_ssize_t read =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                       static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
  length = read > 0 ? static_cast<size_t>(read) : 1;
  return code_point;
}

bool is_number(utf8proc_int32_t code_point) {
  if (code_point < 0x80) return code_point >= '0' && code_point <= '9';
  const auto category = utf8proc_category(code_point);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(utf8proc_int32_t c) {
  if (c < 0x80) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

// Calls on_segment(begin, end, is_match) for segments that cover the text from left to right.
template <class OnSegment>
void find_segments(const Regex& regex, std::string_view text, const OnSegment& on_segment) {
  size_t done = 0;
  Regex::Walk walk(regex, text);
  while (const auto match = walk.next()) {
    if (match->begin > done) on_segment(done, match->begin, false);
    on_segment(match->begin, match->end, true);
    done = match->end;
  }
  if (done < text.size()) on_segment(done, text.size(), false);
}

template <class OnSegment>
void find_segments(const WordScanner& scanner, std::string_view text, const OnSegment& on_segment) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = scanner.end_of_word(text, at);
    on_segment(at, end, true);
    at = end;
  }
}

template <class OnSegment>
void find_segments(std::string_view wanted, std::string_view text, const OnSegment& on_segment) {
  size_t done = 0;
  for (size_t at = text.find(wanted); at != std::string_view::npos; at = text.find(wanted, done)) {
    if (at > done) on_segment(done, at, false);
    on_segment(at, at + wanted.size(), true);
    done = at + wanted.size();
  }
  if (done < text.size()) on_segment(done, text.size(), false);
}

template <class OnSegment>
void find_segments(bool (*matches)(utf8proc_int32_t), std::string_view text,
                   const OnSegment& on_segment) {
  size_t done = 0;
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    if (!matches(read_code_point(text, at, length))) continue;
    if (at > done) on_segment(done, at, false);
    on_segment(at, at + length, true);
    done = at + length;
  }
  if (done < text.size()) on_segment(done, text.size(), false);
}

}  // namespace

void PreTokenizer::Step::set_pattern(std::string_view pattern) {
  scanner = WordScanner::for_pattern(pattern);
  finder = scanner ? Finder::kScanner : Finder::kRegex;
  if (!scanner) regex = Regex::compile(pattern);
}

PreTokenizer PreTokenizer::from_json(const Json& json) {
  PreTokenizer pre_tokenizer;
  if (!json.is_null()) pre_tokenizer.add(json, "pre_tokenizer", 0);
  const auto& steps = pre_tokenizer.steps_;
  pre_tokenizer.gives_bytes_ = !steps.empty() && steps.back().kind == Kind::kByteLevel;
  return pre_tokenizer;
}

void PreTokenizer::add(const Json& json, const std::string& where, int depth) {
  if (depth > kMaxDepth || steps_.size() >= kMaxSteps) bad_tokenizer(where + " nests too deeply");
  const std::string type = type_field(json, where);
  Step step;
  if (type == "Sequence") {
    for (const Json& item : array_field(json, "pretokenizers", where)) {
      add(item, where + ".pretokenizers", depth + 1);
    }
    return;
  }
  if (type == "ByteLevel") return add_byte_level(json, where);
  if (type == "Metaspace") return add_metaspace(json, where);
  if (type == "Split") {
    const PatternField pattern = pattern_field(json, where);
    if (pattern.text.empty()) bad_tokenizer(where + ".pattern is empty");
    if (pattern.is_regex) {
      step.set_pattern(pattern.text);
    } else {
      step.finder = Finder::kString;
      step.string = pattern.text;
    }
    step.behavior = behavior_of(string_field(json, "behavior", where), where);
    step.invert = bool_field_or(json, "invert", where, false);
  } else if (type == "Digits") {
    step.finder = Finder::kDigits;
    step.behavior = bool_field_or(json, "individual_digits", where, false) ? Behavior::kIsolated
                                                                           : Behavior::kContiguous;
  } else if (type == "Punctuation") {
    step.finder = Finder::kPunctuation;
    step.behavior = behavior_of(string_field_or(json, "behavior", where, "Isolated"), where);
  } else if (type == "Whitespace") {
    step.set_pattern(kWhitespacePattern);
    step.behavior = Behavior::kRemoved;
    step.invert = true;
  } else if (type == "WhitespaceSplit") {
    step.set_pattern("\\s");
    step.behavior = Behavior::kRemoved;
  } else {
    bad_tokenizer(where + " has the type \"" + type + "\", which is not supported");
  }
  steps_.push_back(std::move(step));
}

void PreTokenizer::add_byte_level(const Json& json, const std::string& where) {
  Step step;
  step.kind = Kind::kByteLevel;
  step.add_prefix_space = bool_field_or(json, "add_prefix_space", where, true);
  step.splits = bool_field_or(json, "use_regex", where, true);
  if (step.splits) step.set_pattern(kByteLevelPattern);
  steps_.push_back(std::move(step));
}

void PreTokenizer::add_metaspace(const Json& json, const std::string& where) {
  Step step;
  step.kind = Kind::kMetaspace;
  step.string = string_field_or(json, "replacement", where, "\u2581");
  if (step.string.empty()) bad_tokenizer(where + ".replacement is empty");
  // Old files say add_prefix_space instead of prepend_scheme.
  const bool add_prefix_space = bool_field_or(json, "add_prefix_space", where, true);
  const std::string scheme =
      string_field_or(json, "prepend_scheme", where, add_prefix_space ? "always" : "never");
  if (scheme == "always") {
    step.prepend = Prepend::kAlways;
  } else if (scheme == "first") {
    step.prepend = Prepend::kFirst;
  } else if (scheme != "never") {
    bad_tokenizer(where + ".prepend_scheme is \"" + scheme + "\", not always, first or never");
  }
  step.splits = bool_field_or(json, "split", where, true);
  steps_.push_back(std::move(step));
}

PreTokenizer::Behavior PreTokenizer::behavior_of(const std::string& name,
                                                 const std::string& where) {
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "Contiguous") return Behavior::kContiguous;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  bad_tokenizer(where + ".behavior is \"" + name + "\", which is not supported");
}

void PreTokenizer::split(std::string_view text, bool at_start, const Sink& sink) const {
  run(0, text, at_start, sink);
}

void PreTokenizer::run(size_t index, std::string_view text, bool at_start, const Sink& sink) const {
  if (text.empty()) return;
  if (index == steps_.size()) return sink(text);
  const Step& step = steps_[index];
  if (step.kind == Kind::kByteLevel) return run_byte_level(index, text, at_start, sink);
  if (step.kind == Kind::kMetaspace) return run_metaspace(index, text, at_start, sink);
  cut(step, text, [&](size_t begin, size_t end) {
    run(index + 1, text.substr(begin, end - begin), at_start && begin == 0, sink);
  });
}

// Joins the segments of one text into pieces, one segment behind the search.
template <class OnPiece>
void PreTokenizer::cut(const Step& step, std::string_view text, const OnPiece& on_piece) {
  struct {
    size_t begin, end;
    bool is_match;
  } held{0, 0, false};
  bool holds = false;
  const auto take = [&](size_t begin, size_t end, bool found) {
    const bool is_match = found != step.invert;
    if (step.behavior == Behavior::kRemoved) {
      if (!is_match) on_piece(begin, end);
      return;
    }
    const bool joins =
        holds && ((step.behavior == Behavior::kContiguous && held.is_match == is_match) ||
                  (step.behavior == Behavior::kMergedWithPrevious && is_match && !held.is_match) ||
                  (step.behavior == Behavior::kMergedWithNext && !is_match && held.is_match));
    if (joins) {
      held.end = end;
      held.is_match = is_match;
      return;
    }
    if (holds) on_piece(held.begin, held.end);
    held = {begin, end, is_match};
    holds = true;
  };
  switch (step.finder) {
    case Finder::kRegex:
      find_segments(*step.regex, text, take);
      break;
    case Finder::kScanner:
      find_segments(*step.scanner, text, take);
      break;
    case Finder::kString:
      find_segments(std::string_view(step.string), text, take);
      break;
    case Finder::kDigits:
      find_segments(&is_number, text, take);
      break;
    case Finder::kPunctuation:
      find_segments(&is_punctuation, text, take);
      break;
  }
  if (holds) on_piece(held.begin, held.end);
}

void PreTokenizer::run_byte_level(size_t index, std::string_view text, bool at_start,
                                  const Sink& sink) const {
  const Step& step = steps_[index];
  std::string prefixed;
  if (step.add_prefix_space && text[0] != ' ') {
    prefixed = " " + std::string(text);
    text = prefixed;
  }
  const bool is_last = index + 1 == steps_.size();
  const auto next = [&](size_t begin, size_t end) {
    if (begin == end) return;
    const std::string_view piece = text.substr(begin, end - begin);
    if (is_last) return sink(piece);
    run(index + 1, to_byte_characters(piece), at_start && begin == 0, sink);
  };
  if (step.splits) {
    cut(step, text, next);
  } else {
    next(0, text.size());
  }
}

void PreTokenizer::run_metaspace(size_t index, std::string_view text, bool at_start,
                                 const Sink& sink) const {
  const Step& step = steps_[index];
  std::string changed = replace_all(text, " ", step.string);
  const bool wants_prefix =
      step.prepend == Prepend::kAlways || (step.prepend == Prepend::kFirst && at_start);
  if (wants_prefix && !changed.starts_with(step.string)) changed = step.string + changed;
  if (!step.splits) return run(index + 1, changed, at_start, sink);
  Step at_mark;
  at_mark.finder = Finder::kString;
  at_mark.string = step.string;
  at_mark.behavior = Behavior::kMergedWithNext;
  cut(at_mark, changed, [&](size_t begin, size_t end) {
    run(index + 1, std::string_view(changed).substr(begin, end - begin), at_start && begin == 0,
        sink);
  });
}

}  // namespace dlm
