#include "export/gguf_tokenizer.h"

#include <algorithm>
#include <map>
#include <optional>

#include "export/gguf_vocabulary.h"
#include "export/pre_tokenizer_label.h"
#include "formats/gguf_names.h"
#include "support/error.h"
#include "text/added_tokens.h"

namespace dlm {
namespace {

constexpr size_t kMostBytes = size_t{256} << 20;

struct SpecialName {
  const char* name;  // in tokenizer_config.json and config.json
  const char* key;   // in the file; null: it has none
};

// In the order of the format's converter.
constexpr SpecialName kSpecials[] = {
    {"bos", "tokenizer.ggml.bos_token_id"},     {"eos", "tokenizer.ggml.eos_token_id"},
    {"unk", "tokenizer.ggml.unknown_token_id"}, {"sep", "tokenizer.ggml.seperator_token_id"},
    {"pad", "tokenizer.ggml.padding_token_id"}, {"cls", nullptr},
    {"mask", "tokenizer.ggml.mask_token_id"},   {"eot", "tokenizer.ggml.eot_token_id"}};

Json read_json_or_empty(const fs::path& path) {
  if (!path_exists(path)) return Json::object();
  return parse_json(read_file(path, kMostBytes), path.string());
}

// Ids that the tokenizer's post-processor puts before and after a text.
struct Around {
  std::vector<int32_t> before, after;
};

Around ids_around(const Tokenizer& tokenizer) {
  const std::vector<int32_t> bare = tokenizer.encode("a", false);
  const std::vector<int32_t> whole = tokenizer.encode("a", true);
  const auto at = std::search(whole.begin(), whole.end(), bare.begin(), bare.end());
  if (at == whole.end()) return {};
  return {{whole.begin(), at}, {at + static_cast<std::ptrdiff_t>(bare.size()), whole.end()}};
}

// Special ids and flags by the rules of the format's converter.
class Specials {
 public:
  Specials(const Json& tokenizer_json, const Json& tokenizer_config, const Json& config_json) {
    if (const Json* added = tokenizer_json.find("added_tokens")) {
      for (const AddedToken& token : read_added_tokens(*added))
        by_text_.emplace(token.content, token.id);
    }
    std::map<std::string, Json> texts;
    for (const SpecialName& special : kSpecials) {
      const std::string key = std::string(special.name) + "_token";
      if (const Json* text = tokenizer_config.find(key)) texts[special.name] = *text;
    }
    const auto borrow = [&](const char* to, const char* from) {
      if (!id_of(texts[to]) && id_of(texts[from])) texts[to] = texts[from];
    };
    borrow("bos", "cls");
    borrow("eos", "sep");
    for (const SpecialName& special : kSpecials) {
      if (const auto id = id_of(texts[special.name])) ids[special.name] = *id;
      const Json* number = config_json.find(std::string(special.name) + "_token_id");
      if (ids.contains(special.name) || number == nullptr) continue;
      // A list of end tokens counts where nothing else says one.
      const bool is_list = number->is_array() && number->size() > 0;
      const Json& first = is_list ? number->items().front() : *number;
      if (first.is_int() && first.as_int() >= 0) ids[special.name] = first.as_int();
    }
  }

  void add_flags(const Around& around, const Json& tokenizer_config) {
    if (!around.before.empty()) add_bos = is_id("bos", around.before.front());
    if (!around.after.empty()) {
      add_eos = true;
      if (!is_id("eos", around.after.back())) {
        if (ids.contains("eos")) ids["eot"] = ids["eos"];
        ids["eos"] = around.after.back();
      }
    }
    const auto override_by = [&](const char* key, bool& flag) {
      const Json* value = tokenizer_config.find(key);
      if (value != nullptr && value->is_bool()) flag = value->as_bool();
    };
    override_by("add_bos_token", add_bos);
    override_by("add_eos_token", add_eos);
    add_bos = add_bos && ids.contains("bos");
    add_eos = add_eos && ids.contains("eos");
  }

  std::map<std::string, int64_t> ids;
  bool add_bos = false;
  bool add_eos = false;

 private:
  // A token as text, or as an object with its content.
  std::optional<int64_t> id_of(const Json& token) const {
    const Json* text = token.is_object() ? token.find("content") : &token;
    if (text == nullptr || !text->is_string()) return std::nullopt;
    const auto found = by_text_.find(text->as_string());
    return found == by_text_.end() ? std::nullopt : std::optional<int64_t>(found->second);
  }
  bool is_id(const char* name, int64_t id) const {
    const auto found = ids.find(name);
    return found != ids.end() && found->second == id;
  }

  std::map<std::string, int64_t> by_text_;
};

bool strips_like_phi3(const Tokenizer& tokenizer, const Json& json) {
  for (const char* token : {"<unk>", "<s>", "<|endoftext|>"}) {
    if (!tokenizer.token_id(token)) return false;
  }
  const Json* added = json.find("added_tokens");
  if (added == nullptr) return false;
  const std::vector<AddedToken> tokens = read_added_tokens(*added);
  return std::any_of(tokens.begin(), tokens.end(),
                     [](const AddedToken& token) { return token.special && token.rstrip; });
}

// As the engine reads it: the file beside goes first, then the configuration.
void add_chat_template(const fs::path& base, const Json& tokenizer_config,
                       const std::string& fallback, std::vector<GgufField>& fields) {
  const fs::path beside = base / "chat_template.jinja";
  const Json* source = tokenizer_config.find("chat_template");
  if (path_exists(beside)) {
    fields.push_back({"tokenizer.chat_template", read_file(beside, kMostBytes)});
    return;
  }
  if (source != nullptr && source->is_string()) {
    fields.push_back({"tokenizer.chat_template", source->as_string()});
    return;
  }
  if (source == nullptr || !source->is_array()) {
    fields.push_back({"tokenizer.chat_template", fallback});
    return;
  }
  std::vector<std::string> names;
  std::vector<GgufField> named;
  for (const Json& entry : source->items()) {
    const std::string& name = entry.at("name").as_string();
    const std::string& text = entry.at("template").as_string();
    if (name == "default") {
      fields.push_back({"tokenizer.chat_template", text});
    } else if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
      named.push_back({"tokenizer.chat_template." + name, text});
    }
  }
  fields.push_back({"tokenizer.chat_templates", GgufArray(std::move(names))});
  std::move(named.begin(), named.end(), std::back_inserter(fields));
}

}  // namespace

GgufTokenizer gguf_tokenizer(const fs::path& base, const ModelConfig& config,
                             const Json& config_json, const std::string& chat_template) {
  const fs::path path = base / "tokenizer.json";
  const std::string text = read_file(path, kMostBytes);
  const SkimmedFile file = read_tokenizer_file(text, path.string());
  const Json tokenizer_config = read_json_or_empty(base / "tokenizer_config.json");
  const Tokenizer tokenizer = Tokenizer::from_file(file, text, path.string());
  GgufVocabulary vocabulary =
      gguf_vocabulary(tokenizer, file.json, file.lists, config, path.string());
  Specials specials(file.json, tokenizer_config, config_json);
  specials.add_flags(ids_around(tokenizer), tokenizer_config);

  GgufTokenizer out;
  out.strips_like_phi3 = strips_like_phi3(tokenizer, file.json);
  std::vector<GgufField>& fields = out.keys;
  const bool is_pieces = vocabulary.is_sentencepiece;
  fields.push_back({"tokenizer.ggml.model", is_pieces ? "llama" : "gpt2"});
  fields.push_back(
      {"tokenizer.ggml.pre",
       is_pieces ? "default" : pre_tokenizer_label(tokenizer, file.json, path.string()).name});
  fields.push_back({"tokenizer.ggml.tokens", GgufArray(std::move(vocabulary.tokens))});
  fields.push_back({"tokenizer.ggml.scores", GgufArray(std::move(vocabulary.scores))});
  fields.push_back({"tokenizer.ggml.token_type", GgufArray(std::move(vocabulary.kinds))});
  fields.push_back({"tokenizer.ggml.merges", GgufArray(std::move(vocabulary.merges))});
  for (const SpecialName& special : kSpecials) {
    const auto id = specials.ids.find(special.name);
    if (special.key == nullptr || id == specials.ids.end()) continue;
    if (id->second >= config.vocab_size) {
      throw Error(ErrorKind::kBase,
                  std::string("the ") + special.name + " token " + std::to_string(id->second) +
                      " is no row of the embedding",
                  "tokenizer and config.json do not belong together", {base.string()});
    }
    fields.push_back({special.key, static_cast<uint32_t>(id->second)});
  }
  // Run times have defaults that depend on the names above, so both are always said.
  fields.push_back({"tokenizer.ggml.add_bos_token", specials.add_bos});
  fields.push_back({"tokenizer.ggml.add_eos_token", specials.add_eos});
  add_chat_template(base, tokenizer_config, chat_template, fields);
  if (is_pieces) {
    fields.push_back({"tokenizer.ggml.add_space_prefix", vocabulary.adds_space_prefix});
  }
  return out;
}

std::string gguf_model_name(const std::string& name, const GgufTokenizer& tokenizer) {
  std::string lower = name;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string result;
  bool is_named = false;
  for (size_t at = 0; at < name.size();) {
    const std::string_view rest = std::string_view(lower).substr(at);
    const size_t letters = std::string_view("phi").size();
    const bool is_phi3 = rest.starts_with("phi-3") || rest.starts_with("phi3");
    is_named = is_named || is_phi3;
    if (!is_phi3 || tokenizer.strips_like_phi3) {
      result += name[at++];
      continue;
    }
    result += name.substr(at, letters) + " ";
    at += letters + (rest[letters] == '-' ? 1 : 0);
  }
  if (tokenizer.strips_like_phi3 && !is_named) result += result.empty() ? "Phi-3" : " (Phi-3)";
  return result;
}

}  // namespace dlm
