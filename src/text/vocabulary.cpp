// The named splits. Patterns are those of the programs that run such files, which in rare texts are
// not those of the tokenizer that the name stands for.
#include "text/vocabulary.h"

#include <algorithm>

#include "text/word_scanner.h"

namespace dlm {

namespace {

constexpr std::string_view kLlama3 =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Entry {
  std::string_view name;
  NamedSplit split;
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = [] {
    // That of GPT-2 stands here without its last alternative, |\s+, which changes nothing: text
    // between matches is a piece too.
    const NamedSplit gpt2{{kByteLevelPattern}};
    const NamedSplit digits{{R"(\p{N})", kByteLevelPattern}};
    const NamedSplit llama3{{kLlama3}, true, true};
    const NamedSplit cl100k{{kLlama3}};
    const NamedSplit qwen2{{kQwen2}};
    const NamedSplit gpt4o{{kGpt4o}};
    const NamedSplit thousands{
        {R"([\p{P}\$\+<=>\^~\|]+)", kByteLevelPattern, R"(\p{N}+)", R"([0-9][0-9][0-9])"}};
    const NamedSplit falcon{{R"([\p{P}\$\+<=>\^~\|`]+)", kByteLevelPattern, R"([0-9][0-9][0-9])"}};
    return std::vector<Entry>{
        {"default", thousands},
        {"llama3", llama3},
        {"llama-v3", llama3},
        {"llama-bpe", llama3},
        {"falcon3", llama3},
        {"pixtral", llama3},
        {"falcon", falcon},
        {"gpt-2", gpt2},
        {"phi-2", gpt2},
        {"olmo", gpt2},
        {"qwen2", qwen2},
        {"deepseek-r1-qwen", qwen2},
        {"dbrx", cl100k},
        {"smaug-bpe", cl100k},
        {"smollm", digits},
        {"starcoder", digits},
        {"refact", digits},
        {"gpt-4o", gpt4o},
        {"llama4", gpt4o},
        {"tekken", {{kTekken}, true, true}},
        {"superbpe", {{R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}}},
    };
  }();
  return all;
}

}  // namespace

std::optional<NamedSplit> find_split(std::string_view name) {
  const auto found = std::find_if(entries().begin(), entries().end(),
                                  [&](const Entry& entry) { return entry.name == name; });
  return found == entries().end() ? std::nullopt : std::optional(found->split);
}

std::vector<std::string_view> split_names() {
  std::vector<std::string_view> names;
  for (const Entry& entry : entries()) names.push_back(entry.name);
  return names;
}

bool Vocabulary::puts_bos() const {
  if (adds_bos) return *adds_bos;
  if (!is_byte_level) return true;
  const auto known = find_split(split);
  return known && known->puts_bos;
}

}  // namespace dlm
