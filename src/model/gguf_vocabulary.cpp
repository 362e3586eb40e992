#include "model/gguf_vocabulary.h"

#include <algorithm>
#include <cctype>

#include "model/gguf_fields.h"

namespace dlm {

namespace {

std::optional<bool> flag_of(const GgufFields& fields, const char* name) {
  if (!fields.has(name)) return std::nullopt;
  return fields.file().flag(fields.key(name), false);
}

// Phi 3's rule for white space behind control tokens is known by the model's name only.
bool is_named_phi3(const GgufFile& file) {
  std::string name = file.text("general.name", "");
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name.find("phi-3") != name.npos || name.find("phi3") != name.npos;
}

}  // namespace

Vocabulary gguf_vocabulary(const GgufFile& file) {
  const GgufFields fields(file, "tokenizer.ggml.");
  Vocabulary v;
  const std::string kind = file.text(fields.key("model"));
  if (kind != "gpt2" && kind != "llama") {
    fields.fail_key("model", "is \"" + kind + "\", not gpt2 or llama");
  }
  v.is_byte_level = kind == "gpt2";
  const auto* tokens = fields.array<std::string>("tokens");
  if (tokens == nullptr || tokens->empty()) fields.fail_key("tokens", "is missing");
  v.tokens = *tokens;
  if (v.tokens.size() > static_cast<size_t>(GgufFields::kMaxSize)) {
    fields.fail_key("tokens", "is too long");
  }
  const auto check_length = [&](const char* name, size_t length) {
    if (length == v.tokens.size()) return;
    fields.fail_key(name, "has " + std::to_string(length) + " items, there are " +
                              std::to_string(v.tokens.size()) + " tokens");
  };
  v.kinds.assign(v.tokens.size(), TokenKind::kNormal);
  if (const auto* types = fields.array<int32_t>("token_type")) {
    check_length("token_type", types->size());
    for (size_t i = 0; i < types->size(); ++i) {
      if ((*types)[i] < 1 || (*types)[i] > 6) {
        fields.fail_key("token_type", "has the item " + std::to_string((*types)[i]));
      }
      v.kinds[i] = static_cast<TokenKind>((*types)[i]);
    }
  }
  if (v.is_byte_level) {
    v.split = fields.text_or("pre", "default");
    const auto* merges = fields.array<std::string>("merges");
    if (merges == nullptr) fields.fail_key("merges", "is missing");
    v.merges = *merges;
  } else {
    const auto* scores = fields.array<float>("scores");
    if (scores == nullptr) fields.fail_key("scores", "is missing");
    check_length("scores", scores->size());
    v.scores = *scores;
    v.control_tokens_strip = is_named_phi3(file);
  }
  const auto id = [&](const char* name) -> std::optional<int32_t> {
    if (!fields.has(name)) return std::nullopt;
    const int64_t value = file.integer(fields.key(name));
    if (value < 0 || value >= static_cast<int64_t>(v.tokens.size())) {
      fields.fail_key(name, "is " + std::to_string(value) + ", there are " +
                                std::to_string(v.tokens.size()) + " tokens");
    }
    return static_cast<int32_t>(value);
  };
  v.bos = id("bos_token_id");
  v.eos = id("eos_token_id");
  v.eot = id("eot_token_id");
  v.eom = id("eom_token_id");
  v.unknown = id("unknown_token_id");
  v.padding = id("padding_token_id");
  v.adds_bos = flag_of(fields, "add_bos_token");
  v.adds_eos = flag_of(fields, "add_eos_token");
  v.adds_space_prefix = flag_of(fields, "add_space_prefix");
  // Without a name for it no text can begin with the token.
  if (!v.bos && !v.adds_bos) v.adds_bos = false;
  v.chat_template = file.text("tokenizer.chat_template", "");
  return v;
}

}  // namespace dlm
