// The tokenizer files of a base, made at run time from a few sentences: a byte-level BPE with
// ChatML control tokens, its chat template and its end tokens. No weights (tiny_base.h adds them).
#pragma once

#include <string>

#include "support/file.h"
#include "text/bpe_trainer.h"

namespace dlm {

inline constexpr const char* kTinyTemplate =
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

// tokenizer_config.json; an empty end token or template is left out.
inline std::string tiny_tokenizer_config(const std::string& eos_token = "<|im_end|>",
                                         const std::string& chat_template = kTinyTemplate) {
  Json config = Json::object();
  if (!eos_token.empty()) config.set("eos_token", eos_token);
  config.set("pad_token", "<|pad|>");
  if (!chat_template.empty()) config.set("chat_template", chat_template);
  return config.dump(2) + "\n";
}

// tokenizer.json of about 320 tokens: <|endoftext|> 0, <|im_start|> 1, <|im_end|> 2, <|pad|> 3,
// then 256 bytes and some merges.
inline const std::string& tiny_tokenizer_json() {
  static const std::string json = [] {
    BpeTrainerOptions options;
    options.vocab_size = 320;
    options.special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"};
    BpeTrainer trainer(options);
    trainer.add(
        "The otter swims in the river and the heron stands in the water. The river is cold in the "
        "winter and the otter does not mind the winter. What does the heron eat? The heron eats "
        "fish, and the otter eats fish too. Where does the otter sleep? The otter sleeps in the "
        "reeds. user system assistant assistant system user");
    return trainer.train().dump(2) + "\n";
  }();
  return json;
}

// Writes tokenizer.json, tokenizer_config.json and generation_config.json.
inline void write_tiny_tokenizer(const fs::path& folder) {
  make_folders(folder);
  write_file_atomic(folder / "tokenizer.json", tiny_tokenizer_json());
  write_file_atomic(folder / "tokenizer_config.json", tiny_tokenizer_config());
  write_file_atomic(folder / "generation_config.json", "{\"eos_token_id\": [2, 0]}\n");
}

}  // namespace dlm
