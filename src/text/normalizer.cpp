// Normalizers. Normal forms come from utf8proc; texts that cannot change skip it.
#include "text/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "support/error.h"
#include "support/text.h"
#include "text/fields.h"

namespace dlm {

namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxSteps = 64;

// Characters below U+0300 are stable under NFC, ASCII under every form. U+0300 begins with 0xCC.
bool is_stable(std::string_view text, unsigned char first_unstable_byte) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= first_unstable_byte) return false;
  }
  return true;
}

std::string normal_form(std::string_view text, int options) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | options));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(result, std::free);
  if (length < 0) {
    throw Error(ErrorKind::kEncoding,
                std::string("the text cannot be normalized: ") + utf8proc_errmsg(length),
                "convert the text to UTF-8");
  }
  return std::string(reinterpret_cast<const char*>(result), static_cast<size_t>(length));
}

// Whether NFC leaves this character as it is and never joins it with what stands before it
// (NFC_Quick_Check is yes, the combining class is 0): Latin, Cyrillic, general punctuation, signs,
// kana, ideographs, Hangul, full-width forms, emoji. Others may be so too; these are what texts are
// made of.
bool is_stable_in_nfc(uint32_t c) {
  struct Range {
    uint32_t first, last;
  };
  constexpr Range kRanges[] = {
      {0, 0x2FF},       {0x400, 0x482},   {0x2010, 0x2027}, {0x2030, 0x205E},  {0x20A0, 0x20BF},
      {0x2190, 0x2199}, {0x2500, 0x27BF}, {0x3001, 0x3029}, {0x3041, 0x3096},  {0x30A1, 0x30FA},
      {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xFF01, 0xFFEE}, {0x1F300, 0x1FAFF}};
  for (const Range& range : kRanges) {
    if (c <= range.last) return c >= range.first;
  }
  return false;
}

// NFC. Only what may change is handed to utf8proc: from the stable character before an unstable one
// up to the next stable one (Unicode Standard Annex 15, section 9.1).
std::string compose(std::string_view text) {
  std::string out;
  size_t done = 0;         // up to here the text is in `out`
  size_t last_stable = 0;  // where the last stable character begins
  bool may_change = false;
  const auto take = [&](size_t end) {
    if (may_change) {
      out += text.substr(done, last_stable - done);
      out += normal_form(text.substr(last_stable, end - last_stable), UTF8PROC_COMPOSE);
      done = end;
      may_change = false;
    }
  };
  for (size_t at = 0, next = 0; at < text.size(); at = next) {
    utf8proc_int32_t c = static_cast<unsigned char>(text[at]);
    next = at + 1;
    if (c >= 0x80) {
      const utf8proc_ssize_t length =
          utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                           static_cast<utf8proc_ssize_t>(text.size() - at), &c);
      check(length > 0, "normalizers see UTF-8");
      next = at + static_cast<size_t>(length);
    }
    if (is_stable_in_nfc(static_cast<uint32_t>(c))) {
      take(at);
      last_stable = at;
    } else {
      may_change = true;
    }
  }
  take(text.size());
  out += text.substr(done);
  return out;
}

std::string_view strip(std::string_view text, bool left, bool right) {
  const std::string_view both = trim(text);
  const size_t begin = left ? static_cast<size_t>(both.data() - text.data()) : 0;
  const size_t end =
      right ? static_cast<size_t>(both.data() - text.data()) + both.size() : text.size();
  return both.empty() ? (left || right ? std::string_view{} : text)
                      : text.substr(begin, end - begin);
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
    out += text.substr(done, at - done);
    out += to;
    done = at + from.size();
  }
  out += text.substr(done);
  return out;
}

std::string replace_matches(const Regex& regex, std::string_view text, std::string_view to) {
  std::string out;
  size_t done = 0;
  Regex::Walk walk(regex, text);
  while (const auto match = walk.next()) {
    out += text.substr(done, match->begin - done);
    out += to;
    done = match->end;
  }
  out += text.substr(done);
  return out;
}

Normalizer Normalizer::from_json(const Json& json) {
  Normalizer normalizer;
  if (!json.is_null()) normalizer.add(json, "normalizer", 0);
  return normalizer;
}

void Normalizer::add(const Json& json, const std::string& where, int depth) {
  if (depth > kMaxDepth || steps_.size() >= kMaxSteps) bad_tokenizer(where + " nests too deeply");
  const std::string type = type_field(json, where);
  if (type == "Sequence") {
    for (const Json& item : array_field(json, "normalizers", where)) {
      add(item, where + ".normalizers", depth + 1);
    }
  } else if (type == "NFC") {
    steps_.push_back({Kind::kNfc, {}, {}, {}});
  } else if (type == "NFD") {
    steps_.push_back({Kind::kNfd, {}, {}, {}});
  } else if (type == "NFKC") {
    steps_.push_back({Kind::kNfkc, {}, {}, {}});
  } else if (type == "NFKD") {
    steps_.push_back({Kind::kNfkd, {}, {}, {}});
  } else if (type == "Prepend") {
    steps_.push_back({Kind::kPrepend, {}, string_field(json, "prepend", where), {}});
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
    steps_.push_back({Kind::kStrip,
                      {},
                      {},
                      {},
                      bool_field_or(json, "strip_left", where, true),
                      bool_field_or(json, "strip_right", where, true)});
  } else {
    bad_tokenizer(where + " has the type \"" + type + "\", which is not supported");
  }
}

std::string Normalizer::apply(std::string_view text) const {
  const size_t limit = text.size() * 16 + 1024;
  std::string out(text);
  for (const Step& step : steps_) {
    out = apply_step(step, std::move(out));
    if (out.size() > limit) {
      bad_tokenizer("the normalizer makes the text more than 16 times as long");
    }
  }
  return out;
}

std::string Normalizer::apply_step(const Step& step, std::string text) {
  switch (step.kind) {
    case Kind::kNfc:
      return is_stable(text, 0xCC) ? text : compose(text);
    case Kind::kNfd:
      return is_stable(text, 0x80) ? text : normal_form(text, UTF8PROC_DECOMPOSE);
    case Kind::kNfkc:
      return is_stable(text, 0x80) ? text : normal_form(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case Kind::kNfkd:
      return is_stable(text, 0x80) ? text : normal_form(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
    case Kind::kPrepend:
      return text.empty() ? text : step.to + text;
    case Kind::kReplace:
      return replace_all(text, step.from, step.to);
    case Kind::kReplaceRegex:
      return replace_matches(*step.regex, text, step.to);
    case Kind::kStrip:
      return std::string(strip(text, step.strip_left, step.strip_right));
  }
  return text;
}

}  // namespace dlm
