// Added tokens: reading them and the search for them.
#include "text/added_tokens.h"

#include <utf8proc.h>

#include "support/text.h"
#include "text/fields.h"

namespace dlm {

namespace {

// Bounds the search to kMaxContentBytes steps per byte of text.
constexpr size_t kMaxContentBytes = 1024;
constexpr size_t kMaxTokens = 1 << 20;

uint32_t first_code_point(std::string_view text) {
  return decode_utf8(text.substr(0, 4))[0];
}

// The offset where the last character of the (non-empty) text begins.
size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

// Unicode's \w: letters, marks, decimal digits, letter numbers, connectors, joiners.
bool is_word(uint32_t code_point) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
         category == UTF8PROC_CATEGORY_PC || code_point == 0x200C || code_point == 0x200D;
}

// Unicode's White_Space; unlike Python's isspace without U+001C to U+001F.
bool is_white_space(uint32_t code_point) {
  return is_unicode_space(code_point) && (code_point < 0x1C || code_point > 0x1F);
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const Json& json) {
  std::vector<AddedToken> tokens;
  if (json.is_null()) return tokens;
  if (!json.is_array()) bad_tokenizer("added_tokens must be an array");
  if (json.size() > kMaxTokens) bad_tokenizer("added_tokens has more than 1,048,576 entries");
  for (const Json& item : json.items()) {
    const std::string where = "added_tokens[" + std::to_string(tokens.size()) + "]";
    AddedToken token;
    token.content = string_field(item, "content", where);
    if (token.content.empty()) bad_tokenizer(where + ".content is empty");
    if (token.content.size() > kMaxContentBytes) {
      bad_tokenizer(where + ".content is longer than 1,024 bytes");
    }
    const int64_t id = int_field(item, "id", where);
    if (id < 0 || id > INT32_MAX) {
      bad_tokenizer(where + ".id is " + std::to_string(id) + ", outside of 0 to 2147483647");
    }
    token.id = static_cast<int32_t>(id);
    token.single_word = bool_field_or(item, "single_word", where, false);
    token.lstrip = bool_field_or(item, "lstrip", where, false);
    token.rstrip = bool_field_or(item, "rstrip", where, false);
    token.special = bool_field_or(item, "special", where, false);
    token.normalized = bool_field_or(item, "normalized", where, !token.special);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void AddedTokenFinder::add(const AddedToken& token, std::string_view content) {
  if (content.empty()) return;
  starts_[static_cast<unsigned char>(content[0])] = true;
  uint32_t node = 0;
  for (const char c : content) {
    const uint64_t edge = static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(c);
    const auto [found, is_new] = edges_.emplace(edge, static_cast<uint32_t>(accepts_.size()));
    if (is_new) accepts_.push_back(0);
    node = found->second;
  }
  if (accepts_[node] == 0) {
    tokens_.push_back(token);
    accepts_[node] = static_cast<uint32_t>(tokens_.size());
  }
}

bool AddedTokenFinder::longest_at(std::string_view text, size_t at, size_t& token,
                                  size_t& length) const {
  bool found = false;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto edge =
        edges_.find(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (accepts_[node] != 0) {
      found = true;
      token = accepts_[node] - 1;
      length = i + 1 - at;
    }
  }
  return found;
}

// The first token at or after `from`; white space that it takes along never reaches before `done`.
AddedTokenFinder::Part AddedTokenFinder::find(std::string_view text, size_t from,
                                              size_t done) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!starts_[static_cast<unsigned char>(text[at])]) continue;
    size_t index = 0, length = 0;
    if (!longest_at(text, at, index, length)) continue;
    const AddedToken& token = tokens_[index];
    size_t begin = at, end = at + length;
    if (token.single_word) {
      const bool word_before =
          begin > 0 &&
          is_word(first_code_point(text.substr(last_character(text.substr(0, begin)))));
      const bool word_after = end < text.size() && is_word(first_code_point(text.substr(end)));
      if (word_before || word_after) {
        at = end - 1;  // the search goes on behind a match that does not count
        continue;
      }
    }
    while (token.lstrip && begin > done) {
      const size_t last = last_character(text.substr(0, begin));
      if (last < done || !is_white_space(first_code_point(text.substr(last)))) break;
      begin = last;
    }
    while (token.rstrip && end < text.size() &&
           is_white_space(first_code_point(text.substr(end)))) {
      end += static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[end])));
    }
    return {begin, end, token.id};
  }
  return {text.size(), text.size(), -1};
}

}  // namespace dlm
