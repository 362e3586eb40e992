#include "export/gguf_vocabulary.h"

#include <unordered_map>
#include <unordered_set>

#include "support/error.h"
#include "text/normalizer.h"

namespace dlm {
namespace {

enum Kind : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

constexpr const char* kBlank = "\u2581";  // SentencePiece's sign for a blank
constexpr const char* kByteLevelBlank = "\u0120";
constexpr float kUserDefinedScore = -1000.0f;

[[noreturn]] void refuse(const std::string& what, const std::string& path) {
  throw Error(ErrorKind::kBase, what, "export the base with --target hf, vllm or mlx-serve instead",
              {path});
}

bool is_text(const Json* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->as_string() == text;
}

bool is_of_type(const Json& json, std::string_view type) {
  return is_text(json.find("type"), type);
}

// The parts of a "Sequence", or the one part, or none.
std::vector<Json> parts_of(const Json* json, const char* list) {
  if (json == nullptr || !json->is_object()) return {};
  if (!is_of_type(*json, "Sequence")) return {*json};
  const Json* parts = json->find(list);
  return parts != nullptr && parts->is_array() ? parts->items() : std::vector<Json>{};
}

bool is_blank_replacement(const Json& part) {
  const Json* pattern = part.find("pattern");
  return is_of_type(part, "Replace") && pattern != nullptr &&
         is_text(pattern->find("String"), " ") && is_text(part.find("content"), kBlank);
}

// Whether a blank goes before the text; refuses what run times of SentencePiece files do not do.
bool adds_blank(const Json& json, const std::string& path) {
  bool adds = false;
  for (const Json& part : parts_of(json.find("normalizer"), "normalizers")) {
    if (is_blank_replacement(part)) continue;
    if (!is_of_type(part, "Prepend") || !is_text(part.find("prepend"), kBlank)) {
      refuse("the \"normalizer\" of this tokenizer changes texts as no GGUF run time does", path);
    }
    adds = true;
  }
  for (const Json& part : parts_of(json.find("pre_tokenizer"), "pretokenizers")) {
    // Cutting at blanks changes nothing where no token has one inside of it.
    if (is_of_type(part, "Split")) continue;
    if (!is_of_type(part, "Metaspace")) {
      refuse("the \"pre_tokenizer\" of this tokenizer cuts texts as no GGUF run time does", path);
    }
    const Json* scheme = part.find("prepend_scheme");
    const Json* older = part.find("add_prefix_space");
    const bool never = is_text(scheme, "never") || (scheme == nullptr && older != nullptr &&
                                                    older->is_bool() && !older->as_bool());
    adds = adds || !never;
  }
  return adds;
}

// Texts by which the format's converter takes tokens for control tokens.
bool looks_special(std::string_view text) {
  for (const std::string_view known : {"<pad>", "<mask>", "<2mass>", "[@BOS@]"}) {
    if (text == known) return true;
  }
  constexpr std::string_view kWideBegin = "<\uff5c", kWideEnd = "\uff5c>";
  return (text.starts_with("<|") && text.ends_with("|>")) ||
         (text.starts_with(kWideBegin) && text.ends_with(kWideEnd)) ||
         (text.starts_with("<unused") && text.ends_with(">"));
}

bool is_byte_token(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEFabcdef";
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with(">") &&
         kDigits.find(text[3]) != kDigits.npos && kDigits.find(text[4]) != kDigits.npos;
}

// "left right"; blanks inside of a part are written as the byte alphabet writes them.
std::string merge_text(std::string_view left, std::string_view right) {
  const auto part = [](std::string_view text) { return replace_all(text, " ", kByteLevelBlank); };
  return part(left) + " " + part(right);
}

// Run times merge the pair whose result has the highest score, tokenizer.json the pair of the
// lowest rank: minus the order in which the merges name results is both. Tokens that no merge makes
// follow.
std::vector<float> scores_of(const GgufVocabulary& vocabulary, const BpeLists& lists) {
  std::unordered_map<std::string, float> by_result;
  for (const auto& [left, right] : lists.merges) {
    by_result.emplace(std::string(left) + std::string(right),
                      -static_cast<float>(by_result.size()));
  }
  auto next = -static_cast<float>(by_result.size());
  std::vector<float> scores;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const int32_t kind = vocabulary.kinds[i];
    if (kind == kUserDefined || kind == kUnused) {
      scores.push_back(kind == kUserDefined ? kUserDefinedScore : 10 * kUserDefinedScore);
    } else if (kind != kNormal) {
      scores.push_back(0.0f);
    } else if (const auto found = by_result.find(vocabulary.tokens[i]); found != by_result.end()) {
      scores.push_back(found->second);
    } else {
      scores.push_back(next);
      next -= 1.0f;
    }
  }
  return scores;
}

}  // namespace

GgufVocabulary gguf_vocabulary(const Tokenizer& tokenizer, const Json& json, const BpeLists& lists,
                               const ModelConfig& config, const std::string& path) {
  const Json* model = json.find("model");
  const Json* fallback = model == nullptr ? nullptr : model->find("byte_fallback");
  const Json* unknown = model == nullptr ? nullptr : model->find("unk_token");
  GgufVocabulary out;
  out.is_sentencepiece = fallback != nullptr && fallback->is_bool() && fallback->as_bool();
  if (out.is_sentencepiece) out.adds_space_prefix = adds_blank(json, path);

  const auto rows = static_cast<size_t>(config.vocab_size);
  if (tokenizer.vocab_size() > rows) {
    throw Error(ErrorKind::kBase,
                "the tokenizer has " + std::to_string(tokenizer.vocab_size()) +
                    " tokens, the embedding has " + std::to_string(rows) + " rows",
                "tokenizer.json and config.json do not belong together", {path});
  }
  std::unordered_set<std::string> seen;
  for (size_t row = 0; row < rows; ++row) {
    const auto id = static_cast<int32_t>(row);
    const bool exists = row < tokenizer.vocab_size() && !tokenizer.token_text(id).empty();
    std::string text = exists ? tokenizer.token_text(id) : "[PAD" + std::to_string(row) + "]";
    int32_t kind = exists ? kNormal : kUnused;
    if (exists && out.is_sentencepiece && is_text(unknown, text)) {
      kind = kUnknown;
    } else if (exists && tokenizer.is_added(id)) {
      const bool is_phi = out.is_sentencepiece && config.model_type == "phi3";
      const bool is_control = tokenizer.is_special(id) || (!is_phi && looks_special(text));
      kind = is_control ? kControl : kUserDefined;
      if (!is_control && !is_phi) text = replace_all(text, kBlank, " ");
    } else if (exists && out.is_sentencepiece && is_byte_token(text)) {
      kind = kByte;
    }
    if (!seen.insert(text).second) {
      refuse("two tokens have the text \"" + text + "\", which GGUF run times refuse", path);
    }
    out.tokens.push_back(std::move(text));
    out.kinds.push_back(kind);
  }
  if (out.is_sentencepiece) {
    out.scores = scores_of(out, lists);
  } else {
    for (const auto& [left, right] : lists.merges) out.merges.push_back(merge_text(left, right));
  }
  return out;
}

}  // namespace dlm
