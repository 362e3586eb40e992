// Probes of bases as people meet them: a broken base is refused before anything is written, and
// warnings stop nothing.
#include <gtest/gtest.h>

#include "cli/cli_fixture.h"

namespace dlm {
namespace {

class ProbesCommand : public CliTest {
 protected:
  ProbesCommand() {
    options_.environment["DLM_BASES"] = (folder_ / "bases").string();
    write_tiny_bases(folder_ / "bases");
  }
  fs::path base() const { return folder_ / "bases" / kTinyBaseKey; }
  void edit_config(const char* key, Json value) const {
    Json json = parse_json(read_file(base() / "config.json"));
    json.set(key, std::move(value));
    write_file_atomic(base() / "config.json", json.dump(2) + "\n");
  }
};

TEST_F(ProbesCommand, ABrokenBaseIsRefusedBeforeAnythingIsWritten) {
  write_document(kPairs);
  edit_config("vocab_size", Json(int64_t{300}));
  const std::string config = "HERE/bases/dlm-nano: ";
  expect_refused(
      {"train", document().string()}, 1,
      "tensors    failed   " + config +
          "tensor \"model.embed_tokens.weight\" has shape [320, 64], config.json asks for "
          "[300, 64]; tensor \"lm_head.weight\" has shape [320, 64], config.json asks for [300, "
          "64]\n"
          "                    -> config.json and the weight files do not belong together\n"
          "tokenizer  failed   " +
          config +
          "the tokenizer has 319 tokens, the model 300\n"
          "                    -> tokenizer and weights do not belong together\n"
          "base_model: base \"dlm-nano\" failed 2 probes\n"
          "hint: do what stands behind each arrow above; --skip-probes goes on without probing\n");
}

TEST_F(ProbesCommand, WithoutProbesTheRunItselfJudges) {
  write_document("Rivers are long, and otters swim in them.\n");
  // Prose needs no template that works.
  write_file_atomic(
      base() / "tokenizer_config.json",
      tiny_tokenizer_config("<|im_end|>", "{% for m in messages %}{{ m['content'] }}{% endfor %}"));
  const ProgramResult refused = run({"train", document().string(), "--max-steps", "1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("does not end an answer with a control token"), std::string::npos)
      << refused.err;
  EXPECT_NE(refused.err.find("--skip-probes trains prose all the same"), std::string::npos);
  EXPECT_FALSE(fs::exists(home()));
  const ProgramResult trained =
      run({"train", document().string(), "--max-steps", "1", "--skip-probes"});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_FALSE(fs::exists(home() / "probes.json"));
}

TEST_F(ProbesCommand, WarningsAreSaidOnceAndRefusedExportsAlways) {
  write_document("Rivers are long, and otters swim in them.\n");
  Json config = parse_json(read_file(base() / "tokenizer_config.json"));
  config.set("pad_token", "<|im_end|>");
  write_file_atomic(base() / "tokenizer_config.json", config.dump(2) + "\n");
  Json tokenizer = parse_json(read_file(base() / "tokenizer.json"));
  tokenizer.set("pre_tokenizer", Json::object({{"type", Json("ByteLevel")},
                                               {"add_prefix_space", Json(false)},
                                               {"trim_offsets", Json(true)},
                                               {"use_regex", Json(false)}}));
  write_file_atomic(base() / "tokenizer.json", tokenizer.dump() + "\n");
  const std::string warning = "pad_token and eos_token are both \"<|im_end|>\"\n";
  const std::string refused =
      "warning: export to ollama, llama-server will be refused: HERE/bases/dlm-nano/"
      "tokenizer.json: no GGUF run time cuts text into words as";
  const ProgramResult first = train_shortly();
  EXPECT_NE(first.err.find(warning), std::string::npos) << first.err;
  EXPECT_NE(shown(first.err).find(refused), std::string::npos) << first.err;
  EXPECT_TRUE(fs::exists(home() / "probes.json"));
  const ProgramResult second = train_shortly();
  EXPECT_EQ(second.err.find(warning), std::string::npos) << second.err;
  EXPECT_NE(shown(second.err).find(refused), std::string::npos) << second.err;
  options_.environment["DLM_SKIP_EXPORT_PROBES"] = "1";
  const ProgramResult third = train_shortly();
  EXPECT_EQ(third.err.find("will be refused"), std::string::npos) << third.err;
}

TEST_F(ProbesCommand, ADryRunProbesAndKeepsNothing) {
  write_document(kPairs);
  EXPECT_EQ(run({"train", document().string(), "--dry-run"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(ProbesCommand, ShowPrintsTheTable) {
  const ProgramResult text = run({"bases", "show", kTinyBaseKey, "--probe"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("\narchitecture         passed   family llama, 2 layers"),
            std::string::npos)
      << text.out;
  // By its path, and broken.
  edit_config("model_type", Json("mamba"));
  const ProgramResult broken = run({"bases", "show", base().string(), "--probe", "--json"});
  EXPECT_EQ(broken.exit_code, 1) << broken.err;
  const Json json = parse_json(broken.out);
  EXPECT_EQ(json.at("key").as_string(), base().string());
  EXPECT_EQ(json.at("state").as_string(), "incomplete");
  const Json& first = json.at("probes").items().front();
  EXPECT_EQ(first.at("name").as_string(), "architecture");
  EXPECT_EQ(first.at("state").as_string(), "failed");
  EXPECT_NE(first.at("detail").as_string().find("\"mamba\""), std::string::npos);
  EXPECT_NE(first.at("remedy").as_string(), "");
  EXPECT_FALSE(first.at("about_export").as_bool());
}

TEST_F(ProbesCommand, ShowOfABaseThatIsNotHereNamesThePull) {
  const ProgramResult absent = run({"bases", "show", "smollm2-135m", "--probe"});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_NE(absent.err.find("`dlm bases pull smollm2-135m` fetches it"), std::string::npos)
      << absent.err;
}

TEST_F(ProbesCommand, ShowOfADocumentTellsTheLicenceOfItsBase) {
  write_file_atomic(document(), std::string("---\ndlm_id: ") + kTestId +
                                    "\ndlm_version: 15\nbase_model: llama-3.2-1b\n---\nText.\n");
  const std::string needed = run({"show", document().string()}).out;
  EXPECT_NE(needed.find("licence        Other, has to be accepted: --i-accept-license"),
            std::string::npos)
      << needed;
  Json license = parse_json(run({"show", document().string(), "--json"}).out).at("license");
  EXPECT_TRUE(license.at("needs_acceptance").as_bool());
  EXPECT_TRUE(license.at("accepted_at").is_null());
  // Consent is recorded though the base is not here.
  run({"train", document().string(), "--i-accept-license"});
  EXPECT_NE(run({"show", document().string()}).out.find("licence        Other, accepted 20"),
            std::string::npos);
  license = parse_json(run({"show", document().string(), "--json"}).out).at("license");
  EXPECT_TRUE(license.at("accepted_at").is_string());
}

}  // namespace
}  // namespace dlm
