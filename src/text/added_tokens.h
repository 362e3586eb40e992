// The added tokens of a tokenizer.json: tokens that are found in the text before anything else
// looks at it. Where several match, the leftmost wins, then the longest. It only finds them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "support/json.h"

namespace dlm {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // only between non-word characters
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;
  bool normalized = true;  // is looked for in the normalized text, not in the raw one
  bool special = false;
};

// Reads the "added_tokens" member. Throws Error(kFormat).
std::vector<AddedToken> read_added_tokens(const Json& json);

class AddedTokenFinder {
 public:
  // A part of the text: id < 0 is plain text between tokens.
  struct Part {
    size_t begin;
    size_t end;
    int32_t id;
  };

  // `content` is what to look for (an added token's content, normalized where it asks for that).
  void add(const AddedToken& token, std::string_view content);
  bool empty() const { return tokens_.empty(); }

  // Calls on_part(part) for parts in order; plain parts are never empty. Parts cover the text.
  template <class OnPart>
  void split(std::string_view text, const OnPart& on_part) const {
    size_t done = 0;
    for (size_t from = 0; from < text.size();) {
      const Part found = find(text, from, done);
      if (found.id < 0) break;
      from = found.end > from ? found.end : from + 1;
      if (found.begin > done) on_part(Part{done, found.begin, -1});
      on_part(found);
      done = found.end;
    }
    if (done < text.size()) on_part(Part{done, text.size(), -1});
  }

 private:
  Part find(std::string_view text, size_t from, size_t done) const;
  bool longest_at(std::string_view text, size_t at, size_t& token, size_t& length) const;

  std::vector<AddedToken> tokens_;
  // A trie over bytes: (node << 8 | byte) -> node; accepts_[node] is 1 + the index of a token.
  std::unordered_map<uint64_t, uint32_t> edges_;
  std::vector<uint32_t> accepts_{0};
  std::vector<bool> starts_ = std::vector<bool>(256);
};

}  // namespace dlm
