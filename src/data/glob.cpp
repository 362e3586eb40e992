// A pattern is simulated as a nondeterministic automaton, one state per token, so that no pattern
// takes exponential time.
#include "data/glob.h"

#include <algorithm>

#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr size_t kMaxPatternCharacters = 1024;

}  // namespace

Glob::Glob(std::string_view pattern) : pattern_(pattern) {
  const std::vector<uint32_t> characters = decode_utf8(pattern);
  if (characters.size() > kMaxPatternCharacters) {
    throw Error(ErrorKind::kParse,
                "a pattern may have at most " + std::to_string(kMaxPatternCharacters) +
                    " characters, this one has " + std::to_string(characters.size()),
                "write several shorter patterns");
  }
  std::string literal;
  const auto end_literal = [&] {
    if (literal.size() > inner_.size()) inner_ = literal;
    literal.clear();
  };
  bool is_prefix = true;
  for (size_t i = 0; i < characters.size(); ++i) {
    const uint32_t c = characters[i];
    if (c != '*' && c != '?') {
      tokens_.push_back({TokenKind::kCharacter, c});
      append_utf8(is_prefix ? prefix_ : literal, c);
      continue;
    }
    is_prefix = false;
    if (c == '?') {
      tokens_.push_back({TokenKind::kOneInName});
    } else if (i + 1 < characters.size() && characters[i + 1] == '*') {
      tokens_.push_back({TokenKind::kRun});
      ++i;
      if (i + 1 < characters.size() && characters[i + 1] == '/') ++i;
    } else {
      tokens_.push_back({TokenKind::kRunInName});
    }
    end_literal();
  }
  suffix_ = literal;
  end_literal();
}

bool Glob::can_be_rejected(std::string_view path) const {
  return !path.starts_with(prefix_) || !path.ends_with(suffix_) ||
         path.find(inner_) == std::string_view::npos;
}

bool Glob::matches(std::string_view path) const {
  if (is_literal()) return path == pattern_;
  if (can_be_rejected(path)) return false;
  return run(path).back() != 0;
}

bool Glob::matches_all_below(std::string_view folder) const {
  // Only a run at the end takes whatever follows.
  if (tokens_.empty() || tokens_.back().kind != TokenKind::kRun) return false;
  const std::string start = std::string(folder) + "/";
  return start.starts_with(prefix_) && run(start).back() != 0;
}

bool Glob::may_match_below(std::string_view folder) const {
  // From every state that has tokens left, some text leads to a match.
  const States states = run(std::string(folder) + "/");
  return std::any_of(states.begin(), states.end() - 1, [](uint8_t on) { return on != 0; });
}

Glob::States Glob::run(std::string_view text) const {
  States states(tokens_.size() + 1);
  States next(states.size());
  states[0] = 1;
  skip_runs(states);
  for (const uint32_t c : decode_utf8(text)) {
    std::fill(next.begin(), next.end(), uint8_t{0});
    bool is_alive = false;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (states[i] == 0) continue;
      switch (tokens_[i].kind) {
        case TokenKind::kCharacter:
          if (c != tokens_[i].character) continue;
          next[i + 1] = 1;
          break;
        case TokenKind::kOneInName:
          if (c == '/') continue;
          next[i + 1] = 1;
          break;
        case TokenKind::kRunInName:
          if (c == '/') continue;
          next[i] = 1;
          break;
        case TokenKind::kRun:
          next[i] = 1;
          break;
      }
      is_alive = true;
    }
    if (!is_alive) return States(states.size());
    skip_runs(next);
    std::swap(states, next);
  }
  return states;
}

// A run may be empty.
void Glob::skip_runs(States& states) const {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const TokenKind kind = tokens_[i].kind;
    if (kind == TokenKind::kRun || kind == TokenKind::kRunInName) states[i + 1] |= states[i];
  }
}

bool matches_any(const std::vector<Glob>& globs, std::string_view path) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const Glob& glob) { return glob.matches(path); });
}

}  // namespace dlm
