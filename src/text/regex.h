// Regular expressions of tokenizer files: Unicode patterns in the Oniguruma dialect that
// tokenizer.json uses, run by PCRE2 with its JIT. It refuses patterns that PCRE2 cannot compile and
// searches that cost too much; it knows nothing of tokens.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

namespace dlm {

class Regex {
 public:
  struct Match {
    size_t begin;  // byte offsets
    size_t end;
  };

  // Throws Error(kFormat) with PCRE2's reason.
  static Regex compile(std::string_view pattern);

  // Walks over the matches of one text from left to right. `text` must be valid UTF-8 and outlive
  // the walk. next() throws Error(kFormat) when the pattern needs more steps than any sane one
  // does.
  class Walk {
   public:
    Walk(const Regex& regex, std::string_view text);
    std::optional<Match> next();

   private:
    int search(size_t from, unsigned options);

    const Regex& regex_;
    std::string_view text_;
    std::shared_ptr<void> match_data_;
    size_t from_ = 0;
    bool last_was_empty_ = false;
  };

 private:
  std::shared_ptr<const void> code_;     // pcre2_code; safe to share between threads
  std::shared_ptr<void> match_context_;  // only read while matching
};

}  // namespace dlm
