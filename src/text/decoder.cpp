// Decoders as a chain of steps over the list of tokens; the texts that the last step leaves are
// joined.
#include "text/decoder.h"

#include "support/text.h"
#include "text/byte_alphabet.h"
#include "text/fields.h"
#include "text/normalizer.h"

namespace dlm {

namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxSteps = 16;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void join_byte_level(std::vector<std::string>& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) append_bytes_of(token, bytes);
  tokens.assign(1, to_valid_utf8(bytes));
}

// A run of byte tokens becomes its text; when the run is not UTF-8, one U+FFFD for each byte.
void join_byte_tokens(std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string run;
  const auto flush = [&] {
    if (run.empty()) return;
    if (find_utf8_fault(run)) {
      for (size_t i = 0; i < run.size(); ++i) out.emplace_back("\uFFFD");
    } else {
      out.push_back(run);
    }
    run.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = byte_token_value(token)) {
      run += static_cast<char>(*byte);
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(out);
}

void strip_token(std::string& token, std::string_view wanted, size_t num_start, size_t num_stop) {
  size_t begin = 0, end = token.size();
  for (size_t i = 0; i < num_start && end - begin >= wanted.size(); ++i) {
    if (token.compare(begin, wanted.size(), wanted) != 0) break;
    begin += wanted.size();
  }
  for (size_t i = 0; i < num_stop && end - begin >= wanted.size(); ++i) {
    if (token.compare(end - wanted.size(), wanted.size(), wanted) != 0) break;
    end -= wanted.size();
  }
  token = token.substr(begin, end - begin);
}

}  // namespace

std::optional<unsigned char> byte_token_value(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = hex_value(token[3]), low = hex_value(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<unsigned char>(high * 16 + low);
}

Decoder Decoder::from_json(const Json& json) {
  Decoder decoder;
  if (!json.is_null()) decoder.add(json, "decoder", 0);
  return decoder;
}

void Decoder::add(const Json& json, const std::string& where, int depth) {
  if (depth > kMaxDepth || steps_.size() >= kMaxSteps) bad_tokenizer(where + " nests too deeply");
  const std::string type = type_field(json, where);
  if (type == "Sequence") {
    for (const Json& item : array_field(json, "decoders", where)) {
      add(item, where + ".decoders", depth + 1);
    }
  } else if (type == "ByteLevel") {
    steps_.push_back({Kind::kByteLevel, {}, {}, {}});
  } else if (type == "ByteFallback") {
    steps_.push_back({Kind::kByteFallback, {}, {}, {}});
  } else if (type == "Fuse") {
    steps_.push_back({Kind::kFuse, {}, {}, {}});
  } else if (type == "Replace") {
    const PatternField pattern = pattern_field(json, where);
    const std::string to = string_field(json, "content", where);
    if (pattern.text.empty()) bad_tokenizer(where + ".pattern is empty");
    if (pattern.is_regex) {
      steps_.push_back({Kind::kReplaceRegex, {}, to, Regex::compile(pattern.text)});
    } else {
      steps_.push_back({Kind::kReplace, pattern.text, to, {}});
    }
  } else if (type == "Strip") {
    const int64_t start = int_field(json, "start", where), stop = int_field(json, "stop", where);
    Step step{Kind::kStrip, string_field(json, "content", where), {}, {}};
    if (start < 0 || stop < 0 || step.from.empty()) {
      bad_tokenizer(where + " needs a character and counts from 0");
    }
    step.num_start = static_cast<size_t>(start);
    step.num_stop = static_cast<size_t>(stop);
    steps_.push_back(std::move(step));
  } else if (type == "Metaspace") {
    Step step{Kind::kMetaspace, string_field_or(json, "replacement", where, "\u2581"), " ", {}};
    if (step.from.empty()) bad_tokenizer(where + ".replacement is empty");
    const bool add_prefix_space = bool_field_or(json, "add_prefix_space", where, true);
    step.drops_first = string_field_or(json, "prepend_scheme", where,
                                       add_prefix_space ? "always" : "never") != "never";
    steps_.push_back(std::move(step));
  } else {
    bad_tokenizer(where + " has the type \"" + type + "\", which is not supported");
  }
}

bool Decoder::is_plain_byte_level() const {
  return steps_.size() == 1 && steps_[0].kind == Kind::kByteLevel;
}

bool Decoder::joins_byte_tokens() const {
  for (const Step& step : steps_) {
    if (step.kind == Kind::kByteFallback || step.kind == Kind::kByteLevel) return true;
  }
  return false;
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  if (steps_.empty()) return join(tokens, " ");
  for (const Step& step : steps_) run(step, tokens);
  return join(tokens, "");
}

void Decoder::run(const Step& step, std::vector<std::string>& tokens) {
  switch (step.kind) {
    case Kind::kByteLevel:
      return join_byte_level(tokens);
    case Kind::kByteFallback:
      return join_byte_tokens(tokens);
    case Kind::kFuse:
      tokens.assign(1, join(tokens, ""));
      return;
    case Kind::kReplace:
      for (std::string& token : tokens) token = replace_all(token, step.from, step.to);
      return;
    case Kind::kReplaceRegex:
      for (std::string& token : tokens) token = replace_matches(*step.regex, token, step.to);
      return;
    case Kind::kStrip:
      for (std::string& token : tokens) {
        strip_token(token, step.from, step.num_start, step.num_stop);
      }
      return;
    case Kind::kMetaspace:
      for (size_t i = 0; i < tokens.size(); ++i) {
        std::string text = tokens[i];
        if (i == 0 && step.drops_first) text = replace_all(text, step.from, "");
        tokens[i] = replace_all(text, step.from, step.to);
      }
      return;
  }
}

}  // namespace dlm
