// The whole schema of frontmatter as a table: every key with values that it takes and values that
// it refuses, at both sides of each limit.
#include <gtest/gtest.h>

#include "doc/document.h"
#include "support/text.h"

namespace dlm {
namespace {

struct Rule {
  const char* key;  // dotted; "training.adapters.a" stands for any named adapter
  std::vector<const char*> taken;
  std::vector<const char*> refused;
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {
      {"dlm_version", {"1", "15"}, {"0", "16", "\"1\"", "2.0", "true", "null", "[1]"}},
      {"base_model", {"x", "hf:org/name", "\"1\""}, {"\"\"", "5", "true", "2024-01-02", "null"}},
      {"system_prompt", {"null", "text", "\"\""}, {"5", "true", "[a]", "{a: b}"}},
      {"training", {"{}"}, {"null", "[]", "text"}},
      {"export", {"{}"}, {"null", "[]", "5"}},
      {"training.adapter", {"lora", "qlora", "dora"}, {"LoRA", "full", "null", "1"}},
      {"training.lora_r",
       {"1", "256", "8.0", "\" 1_6 \"", "true"},
       {"0", "257", "8.5", "x", "null"}},
      {"training.lora_alpha", {"1", "100000"}, {"0", "-1", "99999999999"}},
      {"training.lora_dropout", {"0", "0.5", "\"1e-1\""}, {"-0.1", "0.51", ".nan", ".inf", "null"}},
      {"training.target_modules", {"auto", "[]", "[q_proj]"}, {"q_proj", "[1]", "null", "{a: b}"}},
      {"training.sequence_len", {"64", "32768"}, {"63", "32769"}},
      {"training.micro_batch_size",
       {"auto", "1", "\"4\"", "4.0", "true"},
       {"0", "-1", "Auto", "null"}},
      {"training.grad_accum", {"auto", "1", "8"}, {"0", "false", "1.5"}},
      {"training.learning_rate", {"3e-4", "1.0e-4", "1"}, {"0", "-1", ".inf", "nan", "fast"}},
      {"training.num_epochs", {"1", "1000"}, {"0", "1.5"}},
      {"training.optimizer",
       {"adamw_torch", "adamw_bnb_8bit", "paged_adamw_8bit", "galore_adamw", "galore_adamw_8bit"},
       {"adamw", "sgd", "null"}},
      {"training.lr_scheduler", {"cosine", "linear", "constant"}, {"Cosine", "step"}},
      {"training.warmup_ratio", {"0", "0.5"}, {"-0.01", "0.51"}},
      {"training.precision", {"bf16", "fp16", "fp32", "null"}, {"bf32", "BF16", "16"}},
      {"training.seed", {"0", "4294967295"}, {"-1", "4294967296"}},
      {"training.preference.enabled",
       {"true", "no", "1", "0.0", "\"Off\""},
       {"2", "maybe", "null"}},
      {"training.preference.method", {"dpo", "orpo"}, {"DPO", "kto"}},
      {"training.preference.hyperparams", {"{}"}, {"null", "[]"}},
      {"training.preference.hyperparams.beta", {"0", "1"}, {"-0.1", "1.1"}},
      {"training.preference.hyperparams.alpha", {"0", "1"}, {"-0.1", "1.1"}},
      {"training.preference.hyperparams.learning_rate", {"5e-6"}, {"0", ".inf"}},
      {"training.preference.hyperparams.num_epochs", {"1"}, {"0"}},
      {"training.preference.loss_type", {"sigmoid", "hinge", "ipo"}, {"log", "null"}},
      {"training.preference.reference", {"base", "pre_adapter"}, {"pre_dpo_adapter"}},
      {"training.cpt.schedule", {"auto", "dapt", "sft"}, {"cpt"}},
      {"training.cpt.embed_warmup_steps", {"0", "10"}, {"-1"}},
      {"training.gate.enabled", {"false"}, {"true"}},  // without two adapters
      {"training.gate.hidden_proj_dim", {"8", "2048"}, {"7", "2049"}},
      {"training.gate.steps", {"1", "10000"}, {"0", "10001"}},
      {"training.gate.lr", {"0.0001", "1"}, {"0", "1.01"}},
      {"training.gate.cold_start_floor", {"1", "1024"}, {"0", "1025"}},
      {"training.gate.entropy_lambda", {"0", "1"}, {"-0.1", "1.1"}},
      {"training.cache.enabled", {"true", "off"}, {"null", "x"}},
      {"training.cache.max_bytes", {"1", "9223372036854775807"}, {"0", "9223372036854775808"}},
      {"training.cache.prune_older_than_days", {"1", "3650"}, {"0"}},
      {"training.audio.auto_resample", {"true", "false"}, {"null"}},
      {"training.adapters",
       {"null", "{a: {}}", "{a_1: {}, b: {lora_r: 4}}"},
       {"{}", "[a]", "{A: {}}", "{a: null}", "{a: {seed: 1}}"}},
      {"training.adapters.a.adapter", {"dora"}, {"x"}},
      {"training.adapters.a.lora_r", {"1", "256"}, {"0", "257"}},
      {"training.adapters.a.lora_alpha", {"1"}, {"0"}},
      {"training.adapters.a.lora_dropout", {"0", "0.5"}, {"0.6"}},
      {"training.adapters.a.target_modules", {"auto", "[]"}, {"x"}},
      {"training.adapters.a.learning_rate", {"1e-4"}, {"0"}},
      {"training.sources",
       {"null", "[]", "[{path: a}]"},
       {"{path: a}", "[a]", "[{}]", "[{path: ''}]"}},
      {"training.sources_policy", {"permissive", "strict"}, {"Strict", "null"}},
      {"export.default_quant", {"Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"}, {"q4_k_m", "F16", "null"}},
      {"export.default_temperature", {"null", "0.01", "2"}, {"0", "2.1", "-1"}},
      {"export.default_top_p", {"null", "0.01", "1"}, {"0", "1.1"}},
  };
  return all;
}

// A document that holds this key alone beside the required ones; nested keys in flow form.
std::string document_with(const std::string& key, const std::string& value) {
  std::string text = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\n";
  if (key != "base_model") text += "base_model: tiny\n";
  const auto parts = split(key, '.');
  text += std::string(parts[0]) + ": ";
  for (size_t i = 1; i < parts.size(); ++i) text += "{" + std::string(parts[i]) + ": ";
  return text + value + std::string(parts.size() - 1, '}') + "\n---\n";
}

TEST(Schema, TakesTheValuesOfItsTable) {
  for (const Rule& rule : rules()) {
    for (const char* value : rule.taken) {
      SCOPED_TRACE(std::string(rule.key) + ": " + value);
      EXPECT_NO_THROW({
        const Document document = parse_document(document_with(rule.key, value), "s.dlm");
        EXPECT_TRUE(document.frontmatter.was_written(rule.key));
      });
    }
  }
}

TEST(Schema, RefusesValuesBeyondItsTableByTheirKey) {
  for (const Rule& rule : rules()) {
    for (const char* value : rule.refused) {
      SCOPED_TRACE(std::string(rule.key) + ": " + value);
      try {
        parse_document(document_with(rule.key, value), "s.dlm");
        ADD_FAILURE() << "it was accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kParse);
        EXPECT_GT(error.place().line, 2) << error.what();
        const std::string_view block = split(rule.key, '.').front();
        EXPECT_NE(error.message().find(block), std::string::npos) << error.what();
      }
    }
  }
}

TEST(Schema, SourcesHaveKeysOfTheirOwn) {
  const auto parse = [](const std::string& keys) {
    return parse_document(document_with("training.sources", "[{path: a, " + keys + "}]"), "s.dlm");
  };
  for (const char* taken : {"include: ['*.md']", "include: []", "exclude: [a, b]",
                            "max_bytes_per_file: 1", "max_files: null", "max_files: \"3\""}) {
    EXPECT_NO_THROW(parse(taken)) << taken;
  }
  for (const char* refused : {"include: '*.md'", "exclude: null", "max_bytes_per_file: 0",
                              "max_files: 0", "max_file: 1", "include: [1]"}) {
    EXPECT_THROW(parse(refused), Error) << refused;
  }
}

}  // namespace
}  // namespace dlm
