// The first line is a path, the rest an ignore file and patterns: matching ends in bounded time,
// and what is said of whole folders holds for the path in them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/glob.h"
#include "data/ignore_rules.h"
#include "doc/warning.h"
#include "support/error.h"
#include "support/text.h"

namespace {

// A plain matcher by recursion, for short inputs.
bool matches_slowly(const std::vector<uint32_t>& pattern, size_t p,
                    const std::vector<uint32_t>& path, size_t at) {
  if (p == pattern.size()) return at == path.size();
  if (pattern[p] == '*') {
    const bool is_any = p + 1 < pattern.size() && pattern[p + 1] == '*';
    size_t next = p + (is_any ? 2 : 1);
    if (is_any && next < pattern.size() && pattern[next] == '/') ++next;
    for (size_t end = at;; ++end) {
      if (matches_slowly(pattern, next, path, end)) return true;
      if (end == path.size() || (!is_any && path[end] == '/')) return false;
    }
  }
  if (at == path.size()) return false;
  const bool fits = pattern[p] == '?' ? path[at] != '/' : pattern[p] == path[at];
  return fits && matches_slowly(pattern, p + 1, path, at + 1);
}

void check_glob(std::string_view pattern, std::string_view path) {
  const dlm::Glob glob(pattern);
  const bool matched = glob.matches(path);
  if (pattern.size() <= 12 && path.size() <= 24) {
    dlm::check(matched == matches_slowly(dlm::decode_utf8(pattern), 0, dlm::decode_utf8(path), 0),
               "the automaton and the plain matcher differ");
  }
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos) return;
  const std::string_view folder = path.substr(0, slash);
  if (glob.matches_all_below(folder)) dlm::check(matched, "all below, but not this path");
  if (matched) dlm::check(glob.may_match_below(folder), "nothing below, but this path");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (dlm::find_utf8_fault(input)) return 0;
  const size_t end = input.find('\n');
  if (end == std::string_view::npos) return 0;
  const std::string_view path = input.substr(0, end);
  for (const std::string_view name : dlm::split(path, '/')) {
    if (name.empty()) return 0;  // no path of a tree
  }
  const std::string text = dlm::normalize_newlines(input.substr(end + 1));
  dlm::WarningSink warnings("ignore");
  for (const dlm::IgnoreRule& rule : dlm::parse_ignore_rules(text, warnings)) {
    const bool matched = rule.matches(path);
    const size_t slash = path.find('/');
    if (slash != std::string_view::npos) {
      const std::string_view folder = path.substr(0, slash);
      if (rule.matches_all_below(folder)) dlm::check(matched, "all below, but not this path");
      if (matched) dlm::check(rule.may_match_below(folder), "nothing below, but this path");
    }
  }
  for (const std::string_view line : dlm::split(text, '\n')) {
    try {
      check_glob(line, path);
    } catch (const dlm::Error& error) {
      dlm::check(error.kind() == dlm::ErrorKind::kParse, "wrong kind of error");
    }
  }
  return 0;
}
