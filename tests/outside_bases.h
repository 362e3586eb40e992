// The tokenizers and chat templates of published bases, below $DLM_TEST_DATA/tokenizers. Where one
// has a template alone, its control tokens are put into a small tokenizer of our own.
#pragma once

#include <regex>
#include <set>
#include <string>
#include <vector>

#include "temporary_folder.h"
#include "text/bpe_trainer.h"
#include "text/chat_template.h"
#include "text/outside_data.h"

namespace dlm {

inline std::vector<std::string> bases_with_template() {
  std::vector<std::string> names;
  for (const std::string& name : folders_with("tokenizer_config.json")) {
    const fs::path folder = tokenizer_folder(name);
    const std::string config = read_file(folder / "tokenizer_config.json");
    if (path_exists(folder / "chat_template.jinja") ||
        ChatTemplate::is_in_config(parse_json(config)))
      names.push_back(name);
  }
  return names;
}

// What looks like a control token in the template, and the tokens that the configuration names.
inline std::vector<std::string> control_tokens(const std::string& jinja, const Json& config) {
  std::set<std::string> found = {"<|system|>", "<|user|>", "<|assistant|>"};
  static const std::regex pattern(R"(<[^<>\s'"{}%]{1,40}>|\[/?[A-Z_]{2,30}\])");
  for (std::sregex_iterator it(jinja.begin(), jinja.end(), pattern), end; it != end; ++it) {
    found.insert(it->str());
  }
  for (const char* key : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    const Json* token = config.find(key);
    if (token != nullptr && token->is_object()) token = token->find("content");
    if (token != nullptr && token->is_string()) found.insert(token->as_string());
  }
  return {found.begin(), found.end()};
}

// The folder of a base, or one that is made of its template and a tokenizer of its control tokens.
inline fs::path base_folder(const std::string& name, const TemporaryFolder& made) {
  const fs::path folder = tokenizer_folder(name);
  if (path_exists(folder / "tokenizer.json")) return folder;
  const std::string config = read_file(folder / "tokenizer_config.json");
  const fs::path jinja = folder / "chat_template.jinja";
  const std::string source = path_exists(jinja) ? read_file(jinja) : config;
  BpeTrainerOptions options;
  options.special_tokens = control_tokens(source, parse_json(config));
  options.vocab_size = 300 + static_cast<int64_t>(options.special_tokens.size());
  BpeTrainer trainer(options);
  trainer.add("The otter swims in the river and the heron stands in the water.");
  write_file_atomic(made / "tokenizer.json", trainer.train().dump());
  write_file_atomic(made / "tokenizer_config.json", config);
  if (path_exists(jinja)) write_file_atomic(made / "chat_template.jinja", source);
  return made.path();
}

}  // namespace dlm
