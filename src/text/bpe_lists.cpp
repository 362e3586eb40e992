// Reading the lists, from values or from bytes. The reader of bytes takes a strict subset of JSON
// in the lists and cuts them out; the JSON parser checks what is left.
#include "text/bpe_lists.h"

#include <tuple>

#include "support/error.h"
#include "support/text.h"
#include "text/fields.h"

namespace dlm {

namespace {

constexpr size_t kMaxBytes = JsonLimits{}.max_bytes;

std::optional<std::pair<std::string_view, std::string_view>> cut_at_blank(std::string_view text) {
  const size_t blank = text.find(' ');
  if (blank == std::string_view::npos || text.find(' ', blank + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  return std::pair(text.substr(0, blank), text.substr(blank + 1));
}

// Reads the lists and notes where they lie. Each function returns false where the text is anything
// that it does not know.
class Skimmer {
 public:
  Skimmer(std::string_view text, SkimmedFile& file) : text_(text), file_(file) {
    file_.unescaped.reserve(text.size());  // never grows, so that views of it stay
  }

  bool read() {
    bool has_model = false;
    const bool is_read = read_object([&](std::string_view key) {
      if (key != "model") return skip_value();
      return !std::exchange(has_model, true) && read_model();
    });
    skip_blanks();
    return is_read && has_model && at_ == text_.size() && vocab_end_ > 0 && merges_end_ > 0;
  }

  // The text without the lists.
  std::string rest() const {
    const bool vocab_first = vocab_end_ < merges_end_;
    const auto [a, a_end] =
        vocab_first ? std::pair(vocab_begin_, vocab_end_) : std::pair(merges_begin_, merges_end_);
    const auto [b, b_end] =
        vocab_first ? std::pair(merges_begin_, merges_end_) : std::pair(vocab_begin_, vocab_end_);
    std::string rest(text_.substr(0, a));
    rest += vocab_first ? "{}" : "[]";
    rest += text_.substr(a_end, b - a_end);
    rest += vocab_first ? "[]" : "{}";
    rest += text_.substr(b_end);
    return rest;
  }

 private:
  bool read_model() {
    return read_object([&](std::string_view key) {
      if (key == "vocab" && vocab_end_ == 0) {
        skip_blanks();
        vocab_begin_ = at_;
        const bool is_read = read_vocab();
        vocab_end_ = at_;
        return is_read;
      }
      if (key == "merges" && merges_end_ == 0) {
        skip_blanks();
        merges_begin_ = at_;
        const bool is_read = read_merges();
        merges_end_ = at_;
        return is_read;
      }
      return key != "vocab" && key != "merges" && skip_value();
    });
  }

  bool read_vocab() {
    return read_object([&](std::string_view token) {
      skip_blanks();
      int64_t id = 0;
      const size_t start = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && at_ - start < 10) {
        id = id * 10 + (text_[at_++] - '0');
      }
      if (at_ == start || (text_[start] == '0' && at_ - start > 1)) return false;
      file_.lists.vocab.emplace_back(token, id);
      return true;  // a fraction or more digits end the reading, since no comma follows
    });
  }

  bool read_merges() {
    return read_array([&] {
      std::string_view left, right;
      if (at_ < text_.size() && text_[at_] == '[') {
        int num_read = 0;
        const bool is_pair = read_array([&] {
          ++num_read;
          return num_read <= 2 && read_string(num_read == 1 ? left : right);
        });
        if (!is_pair || num_read != 2) return false;
      } else {
        if (!read_string(left)) return false;
        const auto pair = cut_at_blank(left);
        if (!pair) return false;
        std::tie(left, right) = *pair;
      }
      file_.lists.merges.emplace_back(left, right);
      return true;
    });
  }

  // on_member(key) is called behind the colon and reads the value.
  template <class OnMember>
  bool read_object(const OnMember& on_member) {
    return read_list('{', '}', [&] {
      std::string_view key;
      return read_string(key) && take(':') && on_member(key);
    });
  }
  template <class OnItem>
  bool read_array(const OnItem& on_item) {
    return read_list('[', ']', on_item);
  }
  template <class OnItem>
  bool read_list(char open, char close, const OnItem& on_item) {
    if (!take(open)) return false;
    if (take(close)) return true;
    do {
      skip_blanks();
      if (!on_item()) return false;
    } while (take(','));
    return take(close);
  }

  bool read_string(std::string_view& out) {
    if (at_ == text_.size() || text_[at_] != '"') return false;
    const size_t begin = ++at_;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        out = text_.substr(begin, at_++ - begin);
        return true;
      }
      if (c == '\\') return read_escaped(begin, out);
      if (static_cast<unsigned char>(c) < 0x20) return false;
    }
    return false;
  }

  // The rest of a string whose first escape is here.
  bool read_escaped(size_t begin, std::string_view& out) {
    std::string& into = file_.unescaped;
    const size_t start = into.size();
    into += text_.substr(begin, at_ - begin);
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') {
        out = std::string_view(into).substr(start);
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        into += c;
        continue;
      }
      if (at_ == text_.size()) return false;
      const char letter = text_[at_++];
      constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
      if (const size_t found = kLetters.find(letter); found != std::string_view::npos) {
        into += kMeant[found];
      } else if (letter != 'u' || !read_hex(into)) {
        return false;
      }
    }
    return false;
  }

  // The four digits behind \u. Halves of surrogate pairs are left to the full parser.
  bool read_hex(std::string& into) {
    uint32_t code_point = 0;
    for (int i = 0; i < 4; ++i) {
      if (at_ == text_.size()) return false;
      const char c = text_[at_++];
      const uint32_t digit = c >= '0' && c <= '9'   ? static_cast<uint32_t>(c - '0')
                             : c >= 'a' && c <= 'f' ? static_cast<uint32_t>(c - 'a' + 10)
                             : c >= 'A' && c <= 'F' ? static_cast<uint32_t>(c - 'A' + 10)
                                                    : 16;
      if (digit == 16) return false;
      code_point = code_point * 16 + digit;
    }
    if (code_point >= 0xD800 && code_point < 0xE000) return false;
    append_utf8(into, code_point);
    return true;
  }

  // Any value, by its brackets and strings alone.
  bool skip_value() {
    size_t depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
          if (text_[at_] == '\\') ++at_;
        }
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return true;
        --depth;
      } else if (c == ',' && depth == 0) {
        return true;
      }
    }
    return false;
  }

  bool take(char wanted) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void skip_blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  std::string_view text_;
  SkimmedFile& file_;
  size_t at_ = 0;
  size_t vocab_begin_ = 0, vocab_end_ = 0;  // end 0: not read yet
  size_t merges_begin_ = 0, merges_end_ = 0;
};

}  // namespace

BpeLists lists_of(const Json& model) {
  BpeLists lists;
  const Json& vocab = required_field(model, "vocab", "model");
  if (!vocab.is_object()) bad_tokenizer("model.vocab must be an object");
  lists.vocab.reserve(vocab.size());
  for (const auto& [token, id] : vocab.members()) {
    if (!id.is_int()) bad_tokenizer("model.vocab[\"" + token + "\"] must be an integer");
    lists.vocab.emplace_back(token, id.as_int());
  }
  const Json& merges = required_field(model, "merges", "model");
  if (!merges.is_array()) bad_tokenizer("model.merges must be an array");
  lists.merges.reserve(merges.size());
  for (const Json& merge : merges.items()) {
    const std::string where = "model.merges[" + std::to_string(lists.merges.size()) + "]";
    if (merge.is_string()) {
      const auto pair = cut_at_blank(merge.as_string());
      if (!pair) {
        bad_tokenizer(where + " is \"" + merge.as_string() +
                      "\", not two tokens with one space between them");
      }
      lists.merges.push_back(*pair);
    } else if (merge.is_array() && merge.size() == 2 && merge.items()[0].is_string() &&
               merge.items()[1].is_string()) {
      lists.merges.emplace_back(merge.items()[0].as_string(), merge.items()[1].as_string());
    } else {
      bad_tokenizer(where + " must be a string or an array of two strings");
    }
  }
  return lists;
}

std::optional<SkimmedFile> skim_tokenizer_file(std::string_view text) {
  if (text.size() > kMaxBytes || find_utf8_fault(text)) return std::nullopt;
  SkimmedFile file;
  Skimmer skimmer(text, file);
  if (!skimmer.read()) return std::nullopt;
  try {
    file.json = parse_json(skimmer.rest());
  } catch (const Error&) {
    return std::nullopt;  // read in full, the file gives the error with its place
  }
  return file;
}

SkimmedFile read_tokenizer_file(std::string_view text, const std::string& path) {
  if (auto skimmed = skim_tokenizer_file(text)) return std::move(*skimmed);
  SkimmedFile file;
  file.json = parse_json(text, path);
  file.lists = lists_of(file.json.at("model"));
  return file;
}

}  // namespace dlm
