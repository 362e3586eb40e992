#include "export/pre_tokenizer_label.h"

#include "support/error.h"
#include "support/hash.h"

namespace dlm {
namespace {

// The format's fixed text for telling tokenizers apart; its bytes must not change.
constexpr std::string_view kProbe =
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u200d🌫\ufe0f (mul"
    "tiple emojis concatenated) ✅ 🦙🦙 3 33 333 3333 33333 333333 3333333 33333333 3.3"
    " 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ ------======= нещо на Българск"
    "и ''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you s"
    "ure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL";

struct Label {
  std::string_view key;
  std::string_view name;
};

// SHA-256 of the ids of the probe, written as "[1, 2, 3]".
constexpr Label kByIds[] = {
    {"0ef9807a4087ebef797fc749390439009c3b9eda9ad1a097abbe738f486c01e5", "llama-bpe"},
    {"c136ed14d01c2745d4f60a9596ae66800e2b61fa45643e72436041855ad4089d", "smaug-bpe"},
    {"855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249", "smollm"},
    {"e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea", "qwen2"},
    {"d4540891389ea895b53b399da6ac824becc30f2fba0e9ddbb98f92e55ca0e97c", "qwen2"},
    {"ccc2ef013c104be7bae2965776d611e1d7a8a2a9c547dd93a682c9a9fc80352e", "gpt-4o"},
    {"a8594e3edff7c29c003940395316294b2c623e09894deebbc65f33f1515df79e", "dbrx"},
    {"7dec86086fcc38b66b7bc1575a160ae21cf705be7718b9d5598190d7c12db76f", "superbpe"},
    {"63b97e4253352e6f357cc59ea5b583e3a680eaeaf2632188c2b952de2588485e", "tekken"},
    {"3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454", "gpt-2"},
    {"fcace8b9cac38ce847670c970cd5892031a753a1ef381abd1d9af00f713da085", "phi-2"}};

// Expressions of published tokenizers.
constexpr std::string_view kThreeDigits =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kOneDigit =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string text_of(const Json& json, const char* key) {
  const Json* value = json.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

bool flag_of(const Json& json, const char* key, bool fallback) {
  const Json* value = json.find(key);
  return value != nullptr && value->is_bool() ? value->as_bool() : fallback;
}

// Splits that only cut: each match is a word of its own, and so is what lies between.
std::string cutting_regex(const Json& step) {
  if (text_of(step, "type") != "Split") return {};
  const Json* pattern = step.find("pattern");
  if (pattern == nullptr) return {};
  const std::string behavior = text_of(step, "behavior");
  const bool is_inverted = flag_of(step, "invert", false);
  const bool cuts =
      (behavior == "Isolated" && !is_inverted) || (behavior == "Removed" && is_inverted);
  return cuts ? text_of(*pattern, "Regex") : "";
}

std::vector<Json> steps_of(const Json& json) {
  const Json* pre_tokenizer = json.find("pre_tokenizer");
  if (pre_tokenizer == nullptr || !pre_tokenizer->is_object()) return {};
  if (text_of(*pre_tokenizer, "type") != "Sequence") return {*pre_tokenizer};
  const Json* list = pre_tokenizer->find("pretokenizers");
  return list != nullptr && list->is_array() ? list->items() : std::vector<Json>{};
}

// The name for a pre-tokenizer of known parts; "" when there is none.
std::string_view label_by_parts(const Json& json) {
  const std::vector<Json> steps = steps_of(json);
  if (steps.empty() || text_of(steps.back(), "type") != "ByteLevel") return {};
  if (flag_of(steps.back(), "add_prefix_space", true)) return {};
  const bool has_own_split = flag_of(steps.back(), "use_regex", true);
  if (steps.size() == 1) return has_own_split ? "gpt-2" : "";
  if (steps.size() != 2) return {};
  if (has_own_split) {
    const bool cuts_digits =
        text_of(steps[0], "type") == "Digits" && flag_of(steps[0], "individual_digits", false);
    return cuts_digits ? "smollm" : "";
  }
  const std::string regex = cutting_regex(steps[0]);
  if (regex == kOneDigit) return "qwen2";
  if (regex != kThreeDigits) return {};
  // The two cut alike; the first takes a word that is a token whole, whatever the merges say.
  const Json* model = json.find("model");
  return model != nullptr && flag_of(*model, "ignore_merges", false) ? "llama-bpe" : "dbrx";
}

}  // namespace

PreTokenizerLabel pre_tokenizer_label(const Tokenizer& tokenizer, const Json& json,
                                      const std::string& path) {
  std::string ids = "[";
  for (const int32_t id : tokenizer.encode(kProbe, true)) {
    ids += (ids.size() > 1 ? ", " : "") + std::to_string(id);
  }
  const std::string hash = sha256_hex(ids + "]");
  for (const Label& label : kByIds) {
    if (label.key == hash) return {std::string(label.name), true};
  }
  const std::string_view label = label_by_parts(json);
  if (!label.empty()) return {std::string(label), false};
  throw Error(ErrorKind::kBase,
              "no GGUF run time cuts text into words as this tokenizer's \"pre_tokenizer\" does",
              "export the base with --target hf, vllm or mlx-serve instead", {path});
}

}  // namespace dlm
