#include "train/base_files.h"

#include "support/json.h"

namespace dlm {

namespace {

constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "| trim + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\\n' }}{% endif %}";

Json turn_tokens() {
  Json tokens = Json::array();
  tokens.push_back("<|im_start|>");
  tokens.push_back("<|im_end|>");
  return tokens;
}

}  // namespace

const std::vector<std::string>& base_special_tokens() {
  static const std::vector<std::string> tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>",
                                                  "<|pad|>"};
  return tokens;
}

void set_special_ids(ModelConfig& config) {
  config.bos_token_id = 0;
  config.pad_token_id = 3;
  config.eos_token_ids = {2};
}

void write_base_files(const fs::path& folder, const ModelConfig& config) {
  Json added = Json::object();
  for (size_t id = 0; id < base_special_tokens().size(); ++id) {
    added.set(std::to_string(id), Json::object({{"content", base_special_tokens()[id]},
                                                {"lstrip", false},
                                                {"normalized", false},
                                                {"rstrip", false},
                                                {"single_word", false},
                                                {"special", true}}));
  }
  Json tokenizer = Json::object({{"add_bos_token", false},
                                 {"add_prefix_space", false},
                                 {"added_tokens_decoder", std::move(added)},
                                 {"additional_special_tokens", turn_tokens()},
                                 {"bos_token", nullptr},
                                 {"chat_template", kChatTemplate},
                                 {"clean_up_tokenization_spaces", false},
                                 {"eos_token", "<|im_end|>"},
                                 {"errors", "replace"},
                                 {"model_max_length", config.max_positions},
                                 {"pad_token", "<|pad|>"},
                                 {"tokenizer_class", "PreTrainedTokenizerFast"},
                                 {"unk_token", nullptr}});
  write_file_atomic(folder / "tokenizer_config.json", tokenizer.dump(2) + "\n");
  Json ends = Json::array();
  ends.push_back(2);
  ends.push_back(0);
  Json generation = Json::object({{"eos_token_id", std::move(ends)}, {"pad_token_id", 3}});
  write_file_atomic(folder / "generation_config.json", generation.dump(2) + "\n");
  Json special = Json::object({{"additional_special_tokens", turn_tokens()},
                               {"eos_token", "<|im_end|>"},
                               {"pad_token", "<|pad|>"}});
  write_file_atomic(folder / "special_tokens_map.json", special.dump(2) + "\n");
}

}  // namespace dlm
