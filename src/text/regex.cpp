// Regex on PCRE2. The two dialects differ in few letters that matter here: \s must be Unicode's
// White_Space (PCRE2 adds U+180E), \w has marks and connectors, \h is a hexadecimal digit in
// Oniguruma.
#include "text/regex.h"

#include "support/error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string>

namespace dlm {

namespace {

// A pre-tokenizer pattern takes a few steps per character. The limits stop a hostile pattern after
// about a tenth of a second at one place, and 64 MiB.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr size_t kMaxPatternBytes = 64 * 1024;
constexpr const char* kWordProperties = "\\p{L}\\p{M}\\p{Nd}\\p{Pc}";

std::string to_pcre2(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char letter = pattern[++i];
      if (letter == 's') {
        out += "\\p{White_Space}";
      } else if (letter == 'S') {
        out += "\\P{White_Space}";
      } else if (letter == 'h') {
        out += in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";
      } else if (letter == 'w') {
        out += in_class ? kWordProperties : "[" + std::string(kWordProperties) + "]";
      } else if (letter == 'W' && !in_class) {
        out += "[^" + std::string(kWordProperties) + "]";
      } else {
        out += c;
        out += letter;
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0) return "unknown error";
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

Regex Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    throw Error(ErrorKind::kFormat, "the regular expression is longer than 64 KiB",
                "check the pre_tokenizer and normalizer of the tokenizer file");
  }
  const std::string translated = to_pcre2(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &offset, nullptr);
  if (compiled == nullptr) {
    throw Error(ErrorKind::kFormat,
                "the regular expression \"" + std::string(pattern.substr(0, 200)) +
                    "\" cannot be compiled: " + pcre2_message(code),
                "check the pre_tokenizer and normalizer of the tokenizer file");
  }
  // Without a JIT for this pattern the interpreter gives the same matches.
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);

  Regex regex;
  regex.code_ = std::shared_ptr<const void>(compiled, [](const void* pointer) {
    pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(pointer)));
  });
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  check(context != nullptr, "PCRE2 cannot create a match context");
  pcre2_set_match_limit(context, kMatchLimit);
  pcre2_set_heap_limit(context, kHeapLimitKib);
  regex.match_context_ = std::shared_ptr<void>(context, [](void* pointer) {
    pcre2_match_context_free(static_cast<pcre2_match_context*>(pointer));
  });
  return regex;
}

Regex::Walk::Walk(const Regex& regex, std::string_view text) : regex_(regex), text_(text) {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  check(data != nullptr, "PCRE2 cannot create match data");
  match_data_ = std::shared_ptr<void>(
      data, [](void* pointer) { pcre2_match_data_free(static_cast<pcre2_match_data*>(pointer)); });
}

int Regex::Walk::search(size_t from, unsigned options) {
  const auto* code = static_cast<const pcre2_code*>(regex_.code_.get());
  auto* data = static_cast<pcre2_match_data*>(match_data_.get());
  auto* context = static_cast<pcre2_match_context*>(regex_.match_context_.get());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  int result = pcre2_match(code, subject, text_.size(), from, options, data, context);
  // The JIT works on a small machine stack; the interpreter takes its memory from the heap.
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
    result = pcre2_match(code, subject, text_.size(), from, options | PCRE2_NO_JIT, data, context);
  }
  return result;
}

std::optional<Regex::Match> Regex::Walk::next() {
  while (from_ <= text_.size()) {
    // After an empty match the next one must not be empty at the same place.
    const unsigned options =
        PCRE2_NO_UTF_CHECK | (last_was_empty_ ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0u);
    const int result = search(from_, options);
    if (result == PCRE2_ERROR_NOMATCH) {
      if (!last_was_empty_) break;
      last_was_empty_ = false;
      ++from_;
      while (from_ < text_.size() && (static_cast<unsigned char>(text_[from_]) & 0xC0) == 0x80) {
        ++from_;
      }
      continue;
    }
    if (result < 0) {
      throw Error(ErrorKind::kFormat,
                  "a regular expression of the tokenizer gave up: " + pcre2_message(result),
                  "the pattern is too costly for this text; use a simpler pre_tokenizer");
    }
    const size_t* ends =
        pcre2_get_ovector_pointer(static_cast<pcre2_match_data*>(match_data_.get()));
    // \K in a look-ahead can report an end before the start or before this search; such a pattern
    // cannot cut a text into pieces.
    if (ends[1] < ends[0] || ends[0] < from_) {
      throw Error(ErrorKind::kFormat, "a regular expression of the tokenizer matches backwards",
                  "remove \\K from the pattern");
    }
    from_ = ends[1];
    last_was_empty_ = ends[0] == ends[1];
    return Match{ends[0], ends[1]};
  }
  from_ = text_.size() + 1;
  return std::nullopt;
}

}  // namespace dlm
