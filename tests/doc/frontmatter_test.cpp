// The frontmatter schema: defaults, coercions, bounds, unknown keys, rules between fields, places.
#include "doc/frontmatter.h"

#include <gtest/gtest.h>

#include "doc/document.h"
#include "refusal.h"

namespace dlm {
namespace {

// A document whose frontmatter ends in these lines, which begin on line 4.
std::string with(const std::string& lines) {
  return "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: tiny\n" + lines + "---\n";
}
Document parse(const std::string& lines) {
  return parse_document(with(lines), "f.dlm");
}
Refusal refuse_lines(const std::string& lines) {
  return refuse([&] { parse(lines); });
}

TEST(Frontmatter, HasTheDefaultsOfTheSchema) {
  const Frontmatter f = parse("").frontmatter;
  const TrainingConfig& t = f.training;
  EXPECT_EQ(t.adapter.kind, AdapterKind::kLora);
  EXPECT_EQ(t.adapter.lora_r, 8);
  EXPECT_EQ(t.adapter.lora_alpha, 16);
  EXPECT_EQ(t.adapter.lora_dropout, 0.05);
  EXPECT_FALSE(t.adapter.target_modules);
  EXPECT_EQ(t.adapter.learning_rate, 2e-4);
  EXPECT_EQ(t.sequence_len, 2048);
  EXPECT_FALSE(t.micro_batch_size);
  EXPECT_FALSE(t.grad_accum);
  EXPECT_EQ(t.num_epochs, 3);
  EXPECT_EQ(t.warmup_ratio, 0.1);
  EXPECT_FALSE(t.precision);
  EXPECT_EQ(t.seed, 42);
  EXPECT_EQ(t.preference.hyperparams.learning_rate, 5e-6);
  EXPECT_EQ(t.gate.hidden_proj_dim, 64);
  EXPECT_EQ(t.cache.max_bytes, 10737418240);
  EXPECT_FALSE(t.adapters);
  EXPECT_FALSE(t.sources);
  EXPECT_FALSE(f.export_config.default_temperature);
  EXPECT_FALSE(f.system_prompt);
}

TEST(Frontmatter, RemembersWhichFieldsWereWritten) {
  const Frontmatter f =
      parse("training:\n  learning_rate: 2e-4\n  preference:\n    enabled: false\n").frontmatter;
  EXPECT_TRUE(f.was_written("training.learning_rate"));
  EXPECT_TRUE(f.was_written("training.preference.enabled"));
  EXPECT_FALSE(f.was_written("training.num_epochs"));
  EXPECT_FALSE(f.was_written("training.preference.method"));
}

TEST(Frontmatter, ReadsNumbersFromText) {
  const TrainingConfig t =
      parse("training:\n  learning_rate: 3e-4\n  lora_r: \" 1_6 \"\n  micro_batch_size: \"4\"\n")
          .frontmatter.training;
  EXPECT_EQ(t.adapter.learning_rate, 3e-4);
  EXPECT_EQ(t.adapter.lora_r, 16);
  EXPECT_EQ(t.micro_batch_size, 4);
}

TEST(Frontmatter, WarnsAboutOtherTypesThatItReads) {
  const Document document =
      parse("training:\n  lora_r: 8.0\n  num_epochs: true\n  cache:\n    enabled: \"off\"\n");
  EXPECT_EQ(document.frontmatter.training.adapter.lora_r, 8);
  EXPECT_EQ(document.frontmatter.training.num_epochs, 1);
  EXPECT_FALSE(document.frontmatter.training.cache.enabled);
  ASSERT_EQ(document.warnings.size(), 3u);
  EXPECT_EQ(document.warnings[0].message, "training.lora_r is an integer; 8.0 is read as 8");
  EXPECT_EQ(document.warnings[0].place.to_string(), "f.dlm:5:11");
  EXPECT_EQ(document.warnings[1].message, "training.num_epochs is an integer; true is read as 1");
  EXPECT_EQ(document.warnings[2].message,
            "training.cache.enabled is true or false; 'off' is read as false");
}

TEST(Frontmatter, SuggestsTheKeyThatWasMeant) {
  const Refusal refusal = refuse_lines("training:\n  lora_rank: 8\n  learnig_rate: 1e-4\n");
  EXPECT_EQ(
      refusal.what,
      "f.dlm:5:3: training.lora_rank: not a known key; training.learnig_rate: not a known key");
  const Refusal misspelt = refuse_lines("trainig:\n  lora_r: 8\n");
  EXPECT_EQ(misspelt.what, "f.dlm:4:1: trainig: not a known key");
  EXPECT_EQ(misspelt.hint, "did you mean 'training'?");
}

TEST(Frontmatter, NamesTheTrueLineOfAValue) {
  EXPECT_EQ(refuse_lines("training:\n  seed: 1\n  lora_r: 300\n").what,
            "f.dlm:6:11: training.lora_r: must be at most 256, got 300");
  EXPECT_EQ(refuse_lines("export:\n  default_temperature: 0\n").what,
            "f.dlm:5:24: export.default_temperature: must be above 0, got 0");
  EXPECT_EQ(refuse_lines("training:\n  sources:\n    - path: ''\n").what,
            "f.dlm:6:13: training.sources.0.path: must have at least one character");
}

TEST(Frontmatter, RefusesValuesOfTheWrongKind) {
  EXPECT_EQ(refuse_lines("training:\n").what, "f.dlm:4:10: training: must be a mapping, got null");
  EXPECT_EQ(refuse_lines("training:\n  lora_r: 8.5\n").what,
            "f.dlm:5:11: training.lora_r: must be an integer, without a fractional part, got 8.5");
  EXPECT_EQ(refuse_lines("training:\n  num_epochs: many\n").what,
            "f.dlm:5:15: training.num_epochs: must be an integer, got 'many'");
  EXPECT_EQ(refuse_lines("system_prompt: 5\n").what,
            "f.dlm:4:16: system_prompt: must be text, got an integer");
  EXPECT_EQ(refuse_lines("training:\n  target_modules: q_proj\n").what,
            "f.dlm:5:19: training.target_modules: must be 'auto' or a list of module names");
  EXPECT_EQ(refuse_lines("training:\n  micro_batch_size: 0\n").what,
            "f.dlm:5:21: training.micro_batch_size: must be a positive int or 'auto', got 0");
  EXPECT_EQ(refuse_lines("training:\n  sources: {path: x}\n").what,
            "f.dlm:5:12: training.sources: must be a list, got a mapping");
}

TEST(Frontmatter, SuggestsTheWordThatWasMeant) {
  const Refusal refusal = refuse_lines("training:\n  precision: BF16\n");
  EXPECT_EQ(refusal.what,
            "f.dlm:5:14: training.precision: must be 'bf16', 'fp16' or 'fp32', got 'BF16'");
  EXPECT_EQ(refusal.hint, "did you mean 'bf16'?");
}

TEST(Frontmatter, RefusesNumbersThatNoTrainingCanUse) {
  EXPECT_EQ(refuse_lines("training:\n  learning_rate: .inf\n").what,
            "f.dlm:5:18: training.learning_rate: must be a finite number, got .inf");
  EXPECT_EQ(refuse_lines("training:\n  learning_rate: nan\n").what,
            "f.dlm:5:18: training.learning_rate: must be a finite number, got 'nan'");
  EXPECT_EQ(refuse_lines("training:\n  seed: -1\n").what,
            "f.dlm:5:9: training.seed: must be at least 0, got -1");
  EXPECT_EQ(refuse_lines("training:\n  seed: 4294967296\n").what,
            "f.dlm:5:9: training.seed: must be at most 4294967295, got 4294967296");
  EXPECT_EQ(refuse_lines("training:\n  seed: 99999999999999999999\n").what,
            "f.dlm:5:9: training.seed: must fit in 64 bits, got 99999999999999999999");
}

TEST(Frontmatter, NamesEveryMissingField) {
  const Refusal refusal = refuse([] { parse_document("---\n---\n", "e.dlm"); });
  EXPECT_EQ(refusal.what,
            "e.dlm:2:1: dlm_id: required, but missing; base_model: required, but missing");
}

TEST(Frontmatter, RefusesIdsThatAreNoUlid) {
  const auto refuse_id = [](const std::string& id) {
    return refuse([&] { parse_document("---\ndlm_id: " + id + "\nbase_model: a\n---\n", "i.dlm"); })
        .what;
  };
  EXPECT_EQ(refuse_id("01hz4x7tgzm3j1a2b3c4d5e6f7"),
            "i.dlm:2:9: dlm_id: must be a 26-char Crockford base32 ULID, got "
            "'01hz4x7tgzm3j1a2b3c4d5e6f7'");
  EXPECT_EQ(refuse_id("81HZ4X7TGZM3J1A2B3C4D5E6F7"),
            "i.dlm:2:9: dlm_id: must be a 26-char Crockford base32 ULID, got "
            "'81HZ4X7TGZM3J1A2B3C4D5E6F7'");
  EXPECT_EQ(refuse_id("[a]"), "i.dlm:2:9: dlm_id: must be text, got a list");
}

TEST(Frontmatter, TakesAnIdOfDigitsAsText) {
  const Document document =
      parse_document("---\ndlm_id: 01234567890123456789012345\nbase_model: a\n---\n", "");
  EXPECT_EQ(document.frontmatter.dlm_id, "01234567890123456789012345");
}

TEST(Frontmatter, ReadsNamedAdaptersInDocumentOrder) {
  const Frontmatter f =
      parse("training:\n  adapters:\n    tone: {lora_r: 4}\n    facts: {adapter: dora}\n")
          .frontmatter;
  const auto adapters = declared_adapters(f);
  ASSERT_EQ(adapters.size(), 2u);
  EXPECT_EQ(adapters[0].name, "tone");
  EXPECT_EQ(adapters[0].config.lora_r, 4);
  EXPECT_EQ(adapters[1].name, "facts");
  EXPECT_EQ(adapters[1].config.kind, AdapterKind::kDora);
  EXPECT_TRUE(f.was_written("training.adapters.tone.lora_r"));
  EXPECT_EQ(declared_adapters(parse("").frontmatter).at(0).name, "default");
}

TEST(Frontmatter, RefusesAdaptersThatContradictFlatFields) {
  const Refusal refusal =
      refuse_lines("training:\n  lora_r: 4\n  seed: 1\n  adapters:\n    a: {}\n");
  EXPECT_EQ(
      refusal.what,
      "f.dlm:5:11: training: beside training.adapters the flat per-adapter fields [lora_r] must "
      "keep their defaults");
  EXPECT_NO_THROW(parse("training:\n  lora_r: 8\n  adapters:\n    a: {}\n"));
}

TEST(Frontmatter, RefusesAGateWithoutTwoAdapters) {
  EXPECT_EQ(refuse_lines("training:\n  gate:\n    enabled: true\n  adapters:\n    a: {}\n").what,
            "f.dlm:6:14: training: gate.enabled: true needs two or more named adapters to choose "
            "between, got 1");
}

TEST(Frontmatter, RefusesBadAdapterNames) {
  EXPECT_EQ(
      refuse_lines("training:\n  adapters:\n    ok: {}\n    Bad: {}\n").what,
      "f.dlm:7:5: training.adapters: 'Bad' is not a valid adapter name (a small letter, then up "
      "to 31 small letters, digits or underscores)");
  EXPECT_EQ(refuse_lines("training:\n  adapters: {}\n").what,
            "f.dlm:5:13: training.adapters: at least one adapter must stand here");
  EXPECT_EQ(refuse_lines("training:\n  adapters:\n    1: {}\n").what,
            "f.dlm:6:5: training.adapters.1: an adapter name must be text, got an integer");
}

TEST(Frontmatter, KeepsNullAndEmptySourcesApart) {
  EXPECT_FALSE(parse("training:\n  sources:\n").frontmatter.training.sources);
  const auto sources = parse("training:\n  sources: []\n").frontmatter.training.sources;
  ASSERT_TRUE(sources);
  EXPECT_TRUE(sources->empty());
}

TEST(Frontmatter, CutsALongListOfFindings) {
  std::string lines;
  for (int i = 0; i < 25; ++i) lines += "key_" + std::to_string(i) + ": 1\n";
  const std::string what = refuse_lines(lines).what;
  EXPECT_NE(what.find("key_19: not a known key; and 5 more"), std::string::npos);
  EXPECT_EQ(what.find("key_20"), std::string::npos);
}

TEST(Frontmatter, MustBeAMapping) {
  const Refusal refusal = refuse([] { parse_document("---\n# nothing\n---\n", "c.dlm"); });
  EXPECT_EQ(refusal.what, "c.dlm:2:1: frontmatter must be a mapping, got null");
  EXPECT_EQ(refusal.hint, "write one 'key: value' per line between the two --- lines");
}

}  // namespace
}  // namespace dlm
