// Probes of the bundled base, of a golden model of every family, and of bases broken in one place
// each. The files are made at run time; none is fetched.
#include "export/base_probes.h"

#include <gtest/gtest.h>

#include <functional>

#include "bases/registry.h"
#include "export/tiny_gguf_base.h"
#include "formats/safetensors.h"
#include "support/error.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

// tokenizer.json of 268 tokens with the control tokens of tiny_tokenizer.h.
std::string small_tokenizer_json() {
  BpeTrainerOptions options;
  options.vocab_size = 268;
  options.special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"};
  BpeTrainer trainer(options);
  trainer.add("The otter swims in the river and the heron stands in the water.");
  return trainer.train().dump() + "\n";
}

Json json_at(const fs::path& path) {
  return parse_json(read_file(path), path.string());
}

class BaseProbes : public ::testing::Test {
 protected:
  // A golden model that can be talked to.
  fs::path golden(const std::string& name) const {
    const fs::path folder = folder_ / name;
    write_gguf_base(fs::path(DLM_TEST_SOURCE_DATA) / "goldens" / name, folder);
    write_file_atomic(folder / "tokenizer.json", small_tokenizer_json());
    write_file_atomic(folder / "tokenizer_config.json", tiny_tokenizer_config());
    return folder;
  }
  fs::path base() const { return folder_ / "llama_untied"; }
  ProbeReport probe(const fs::path& folder) const { return probe_base({folder.string(), {}, {}}); }
  ProbeReport probe() const { return probe(base()); }

  void edit(const char* file, const std::function<void(Json&)>& change) const {
    Json json = json_at(base() / file);
    change(json);
    write_file_atomic(base() / file, json.dump(2) + "\n");
  }
  // Writes the weights anew, as `change` leaves them.
  void edit_weights(const std::function<void(std::vector<SafetensorsTensor>&)>& change) const {
    const fs::path path = base() / "model.safetensors";
    std::string bytes = read_file(path);
    const auto file = SafetensorsFile::parse(std::as_bytes(std::span(bytes)), path);
    std::vector<SafetensorsTensor> tensors = file.tensors();
    change(tensors);
    write_safetensors(path, tensors);
  }

  // That this probe failed with this text, no other of training did, and every export is skipped.
  void expect_fault(const std::string& name, const std::string& detail) const {
    const ProbeReport report = probe();
    const std::vector<Probe> faults = report.faults();
    ASSERT_EQ(faults.size(), 1u) << probe_table(report.probes);
    EXPECT_EQ(faults[0].name, name);
    EXPECT_NE(faults[0].detail.find(detail), std::string::npos) << faults[0].detail;
    EXPECT_NE(faults[0].remedy, "");
    EXPECT_EQ(report.find("export:hf")->state, ProbeState::kSkipped);
  }

  TemporaryFolder folder_;
};

TEST_F(BaseProbes, TheBundledBasePassesAll) {
  BaseSearch search;
  search.built_folder = fs::path(DLM_SOURCE_ROOT) / "assets";
  const ProbeReport report = probe_base({"dlm-nano", search, {}});
  EXPECT_EQ(report.folder, search.built_folder / "dlm-nano");
  std::vector<std::string> names;
  for (const Probe& probe : report.probes) {
    names.push_back(probe.name);
    EXPECT_EQ(probe.state, ProbeState::kPassed) << probe.name << ": " << probe.detail;
    EXPECT_NE(probe.detail, "") << probe.name;
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"architecture", "tensors", "tokenizer", "chat_template",
                                      "pre_tokenizer", "export:ollama", "export:llama-server",
                                      "export:vllm", "export:mlx-serve", "export:hf"}));
  EXPECT_NE(report.find("architecture")->detail.find("family llama, 8 layers, rope default"),
            std::string::npos);
  EXPECT_NE(report.find("tensors")->detail.find("8392960 parameters"), std::string::npos);
  EXPECT_NE(report.find("chat_template")->detail.find("\"<|im_end|>\""), std::string::npos);
}

TEST_F(BaseProbes, AGoldenOfEveryFamilyPassesAll) {
  for (const char* name : {"gemma2", "llama_tied", "llama_untied", "mixtral", "olmo2", "phi3",
                           "phi3_longrope", "qwen2", "qwen3", "smollm3"}) {
    const ProbeReport report = probe(golden(name));
    for (const Probe& probe : report.probes) {
      EXPECT_EQ(probe.state, ProbeState::kPassed)
          << name << ", " << probe.name << ": " << probe.detail;
    }
  }
}

TEST_F(BaseProbes, ShardsAreLookedAtTogether) {
  const fs::path folder = golden("llama_bf16_sharded");
  write_file_atomic(folder / "tokenizer.json", three_token_json());
  EXPECT_EQ(probe(folder).find("tensors")->state, ProbeState::kPassed);
  fs::remove(folder / "model-00002-of-00003.safetensors");
  const ProbeReport broken = probe(folder);
  EXPECT_EQ(broken.find("tensors")->state, ProbeState::kFailed);
  EXPECT_NE(broken.find("tensors")->detail.find("the shard model-00002-of-00003.safetensors"),
            std::string::npos);
}

TEST_F(BaseProbes, AMissingTensor) {
  golden("llama_untied");
  edit_weights([](auto& tensors) {
    std::erase_if(tensors, [](const auto& t) { return t.name == "model.norm.weight"; });
  });
  expect_fault("tensors", "the weights have no tensor \"model.norm.weight\"");
}

TEST_F(BaseProbes, ATensorOfAnotherShape) {
  golden("llama_untied");
  edit_weights([](auto& tensors) {
    for (SafetensorsTensor& t : tensors) {
      if (t.name == "model.norm.weight") t.shape = {2, t.shape[0] / 2};
    }
  });
  expect_fault("tensors", "tensor \"model.norm.weight\" has shape [2, ");
}

TEST_F(BaseProbes, ATensorOfAnotherType) {
  golden("llama_untied");
  edit_weights([](auto& tensors) {
    for (SafetensorsTensor& t : tensors) {
      if (t.name == "model.norm.weight") t.dtype = "I32";
    }
  });
  expect_fault("tensors", "tensor \"model.norm.weight\" has type I32");
}

TEST_F(BaseProbes, AnExtraTensor) {
  golden("llama_untied");
  edit_weights([](auto& tensors) {
    SafetensorsTensor extra = tensors.front();
    extra.name = "model.layers.0.self_attn.q_proj.qweight";
    tensors.push_back(extra);
  });
  expect_fault("tensors", "\"model.layers.0.self_attn.q_proj.qweight\" that a model of family");
}

TEST_F(BaseProbes, ManyFaultsOfTheWeightsAreCounted) {
  golden("llama_untied");
  edit("config.json", [](Json& config) { config.set("hidden_size", int64_t{24}); });
  const std::vector<Probe> faults = probe().faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_NE(faults[0].detail.find("more faults"), std::string::npos) << faults[0].detail;
}

TEST_F(BaseProbes, AnUnknownArchitectureAndAnUnknownRope) {
  golden("llama_untied");
  const std::string config = read_file(base() / "config.json");
  edit("config.json", [](Json& json) { json.set("model_type", "mamba"); });
  expect_fault("architecture", "model family \"mamba\" is not supported");
  EXPECT_EQ(probe().find("tensors")->state, ProbeState::kSkipped);
  write_file_atomic(base() / "config.json", config);
  edit("config.json", [](Json& json) {
    json.set("rope_parameters",
             Json::object({{"rope_type", Json("spiral")}, {"factor", Json(2.0)}}));
  });
  expect_fault("architecture", "rope type \"spiral\" is not supported");
}

TEST_F(BaseProbes, FilesOfAnotherModelUnderAKnownName) {
  fs::rename(golden("llama_untied"), folder_ / "qwen3-4b");
  BaseSearch search;
  search.own_folder = folder_.path();
  const std::vector<Probe> faults = probe_base({"qwen3-4b", search, {}}).faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].name, "architecture");
  EXPECT_NE(faults[0].detail.find("expected Qwen3ForCausalLM for base \"qwen3-4b\", got "
                                  "LlamaForCausalLM"),
            std::string::npos)
      << faults[0].detail;
}

TEST_F(BaseProbes, ATokenizerThatDoesNotFit) {
  golden("llama_untied");
  write_file_atomic(base() / "tokenizer.json", tiny_tokenizer_json());
  expect_fault("tokenizer", "the tokenizer has 319 tokens, the model 272");
}

TEST_F(BaseProbes, ATokenizerOfAnotherKind) {
  golden("llama_untied");
  edit("tokenizer.json", [](Json& json) {
    json.set("model", Json::object({{"type", Json("WordPiece")}, {"vocab", Json::object()}}));
  });
  expect_fault("tokenizer", "WordPiece");
  EXPECT_EQ(probe().find("chat_template")->state, ProbeState::kSkipped);
  EXPECT_EQ(probe().find("pre_tokenizer")->state, ProbeState::kSkipped);
}

TEST_F(BaseProbes, SpecialTokensThatAreNotThere) {
  golden("llama_untied");
  edit("tokenizer_config.json", [](Json& json) { json.set("eos_token", "<|over|>"); });
  expect_fault("tokenizer", "eos_token \"<|over|>\" is not in tokenizer.json");
  edit("tokenizer_config.json", [](Json& json) { json.set("eos_token", "<|im_end|>"); });
  edit("config.json", [](Json& json) { json.set("eos_token_id", int64_t{272}); });
  expect_fault("tokenizer", "\"eos_token_id\" is 272, the embedding has 272 rows");
}

// Published bases do so. Rows are never padded, so it stops nothing and is only said.
TEST_F(BaseProbes, PaddingThatIsTheEndTokenIsAWarning) {
  golden("llama_untied");
  edit("tokenizer_config.json", [](Json& json) { json.set("pad_token", "<|im_end|>"); });
  ProbeReport report = probe();
  EXPECT_TRUE(report.faults().empty());
  EXPECT_EQ(report.find("tokenizer")->state, ProbeState::kWarned);
  EXPECT_NE(
      report.find("tokenizer")->detail.find("pad_token and eos_token are both \"<|im_end|>\""),
      std::string::npos);
  edit("tokenizer_config.json", [](Json& json) { json.set("pad_token", "[PAD]"); });
  report = probe();
  EXPECT_TRUE(report.faults().empty());
  EXPECT_NE(report.find("tokenizer")->detail.find("pad_token \"[PAD]\" is not in tokenizer.json"),
            std::string::npos);
}

TEST_F(BaseProbes, AChatTemplateThatCannotBeUsed) {
  golden("llama_untied");
  const auto with_template = [&](const std::string& source) {
    write_file_atomic(base() / "tokenizer_config.json",
                      tiny_tokenizer_config("<|im_end|>", source));
  };
  with_template("{% for m in messages %}{{ m['content'] }");
  expect_fault("chat_template", "");
  with_template("{{ raise_exception('only tools may speak') }}");
  expect_fault("chat_template", "only tools may speak");
  with_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}");
  expect_fault("chat_template", "does not end an answer with a control token");
}

TEST_F(BaseProbes, ABaseWithoutAChatTemplateHasANamedOne) {
  golden("llama_untied");
  write_file_atomic(base() / "tokenizer_config.json", tiny_tokenizer_config("<|im_end|>", ""));
  const ProbeReport report = probe();
  EXPECT_TRUE(report.faults().empty());
  EXPECT_EQ(report.find("chat_template")->state, ProbeState::kWarned);
  EXPECT_NE(report.find("chat_template")->detail.find("dlm's own, 'chatml'"), std::string::npos);
  EXPECT_EQ(report.find("export:ollama")->state, ProbeState::kPassed);
}

TEST_F(BaseProbes, ABaseThatCannotBeTalkedToIsTrainedOnProseAlone) {
  write_gguf_base(fs::path(DLM_TEST_SOURCE_DATA) / "goldens" / "llama_untied", base());
  const ProbeReport report = probe();
  EXPECT_TRUE(report.faults().empty());
  EXPECT_EQ(report.find("chat_template")->state, ProbeState::kWarned);
  const Probe* hf = report.find("export:hf");
  EXPECT_EQ(hf->state, ProbeState::kFailed);
  EXPECT_EQ(hf->remedy, "export with --no-template");
}

// An export that would be refused does not stop training.
TEST_F(BaseProbes, ATokenizerWithoutALabelStopsGgufAlone) {
  golden("llama_untied");
  edit("tokenizer.json", [](Json& json) {
    Json split = Json::object({{"type", Json("Split")},
                               {"pattern", Json::object({{"Regex", Json("[aeiou]+")}})},
                               {"behavior", Json("Isolated")},
                               {"invert", Json(false)}});
    Json bytes = Json::object({{"type", Json("ByteLevel")},
                               {"add_prefix_space", Json(false)},
                               {"trim_offsets", Json(true)},
                               {"use_regex", Json(false)}});
    json.set("pre_tokenizer",
             Json::object({{"type", Json("Sequence")},
                           {"pretokenizers", Json::array({std::move(split), std::move(bytes)})}}));
  });
  const ProbeReport report = probe();
  EXPECT_TRUE(report.faults().empty()) << probe_table(report.probes);
  for (const char* name : {"pre_tokenizer", "export:ollama", "export:llama-server"}) {
    EXPECT_EQ(report.find(name)->state, ProbeState::kFailed) << name;
    EXPECT_NE(report.find(name)->remedy.find("--target hf"), std::string::npos) << name;
  }
  EXPECT_EQ(report.find("export:hf")->state, ProbeState::kPassed);
}

TEST_F(BaseProbes, AnArchitectureThatGgufCannotSayStopsGgufAlone) {
  golden("qwen2");
  Json config = json_at(folder_ / "qwen2" / "config.json");
  config.set("rope_scaling", Json::object({{"rope_type", Json("llama3")},
                                           {"factor", Json(8.0)},
                                           {"low_freq_factor", Json(1.0)},
                                           {"high_freq_factor", Json(4.0)},
                                           {"original_max_position_embeddings", Json(32)}}));
  config.set("rope_parameters", Json());
  write_file_atomic(folder_ / "qwen2" / "config.json", config.dump(2) + "\n");
  const ProbeReport report = probe(folder_ / "qwen2");
  EXPECT_TRUE(report.faults().empty()) << probe_table(report.probes);
  EXPECT_EQ(report.find("export:ollama")->state, ProbeState::kFailed);
  EXPECT_NE(report.find("export:ollama")->detail.find("rope scaling \"llama3\" in family qwen2"),
            std::string::npos);
  EXPECT_EQ(report.find("export:vllm")->state, ProbeState::kPassed);
}

// The label that the registry states against what the tokenizer does.
TEST_F(BaseProbes, ATokenizerThatHasChangedIsToldAndNotRefused) {
  fs::rename(golden("qwen2"), folder_ / "qwen2.5-0.5b");
  BaseSearch search;
  search.own_folder = folder_.path();
  const ProbeReport report = probe_base({"qwen2.5-0.5b", search, {}});
  EXPECT_TRUE(report.faults().empty()) << probe_table(report.probes);
  const Probe* label = report.find("pre_tokenizer");
  EXPECT_EQ(label->state, ProbeState::kFailed);
  EXPECT_NE(label->detail.find("of base \"qwen2.5-0.5b\" is known as \"qwen2\", this one is"),
            std::string::npos)
      << label->detail;
  // One that cuts alike, with a vocabulary of its own.
  const fs::path file = folder_ / "qwen2.5-0.5b" / "tokenizer.json";
  std::string text = read_file(file);
  const size_t digits = text.find("{1,3}");
  ASSERT_NE(digits, std::string::npos);
  write_file_atomic(file, text.erase(digits, 5));
  const ProbeReport other = probe_base({"qwen2.5-0.5b", search, {}});
  EXPECT_EQ(other.find("pre_tokenizer")->state, ProbeState::kFailed);
  EXPECT_NE(other.find("pre_tokenizer")->detail.find("gives the check text other ids"),
            std::string::npos)
      << other.find("pre_tokenizer")->detail;
}

TEST_F(BaseProbes, WeightsThatMayNotBePassedOn) {
  fs::rename(golden("llama_untied"), folder_ / "llama-3.2-1b");
  BaseSearch search;
  search.own_folder = folder_.path();
  const ProbeReport report = probe_base({"llama-3.2-1b", search, {}});
  EXPECT_EQ(report.find("export:hf")->state, ProbeState::kWarned);
  EXPECT_NE(report.find("export:hf")->detail.find("passed on"), std::string::npos);
  EXPECT_EQ(report.find("export:vllm")->state, ProbeState::kPassed);
}

TEST_F(BaseProbes, ABaseThatSeesIsSkippedWithTheReason) {
  const BaseInfo& media = media_bases().front();
  const ProbeReport report = probe_base({std::string(media.key), {}, {}});
  EXPECT_EQ(report.probes.size(), 10u);
  for (const Probe& probe : report.probes) {
    EXPECT_EQ(probe.state, ProbeState::kSkipped) << probe.name;
    EXPECT_NE(probe.detail.find("this version runs bases of text only"), std::string::npos);
  }
}

TEST_F(BaseProbes, ABaseThatIsNotHereIsAnErrorThatNamesThePull) {
  try {
    probe_base({"smollm2-135m", {}, {}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.hint().find("`dlm bases pull smollm2-135m` fetches it"), std::string::npos);
  }
  EXPECT_THROW(probe_base({"no-such-base", {}, {}}), Error);
}

TEST_F(BaseProbes, ExportsCanBeLeftOut) {
  golden("llama_untied");
  const ProbeReport report = probe_base({base().string(), {}, {}, true});
  EXPECT_EQ(report.find("tensors")->state, ProbeState::kPassed);
  for (const char* name : {"pre_tokenizer", "export:ollama", "export:hf"}) {
    EXPECT_EQ(report.find(name)->state, ProbeState::kSkipped) << name;
  }
}

TEST_F(BaseProbes, AKeptReportHoldsUntilAFileChanges) {
  golden("llama_untied");
  const fs::path home = folder_ / "home";
  const ProbeRequest request{base().string(), {}, home};
  const ProbeReport first = probe_base(request);
  EXPECT_FALSE(first.is_kept);
  EXPECT_FALSE(fs::exists(home));  // probing writes nothing
  keep_probe_report(home, first);
  const auto is_kept = [&] { return probe_base(request).is_kept; };
  EXPECT_TRUE(is_kept());
  EXPECT_EQ(probes_json(probe_base(request).probes), probes_json(first.probes));
  // With and without exports are two reports.
  EXPECT_FALSE(probe_base({base().string(), {}, home, true}).is_kept);

  for (const char* file : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    const std::string bytes = read_file(base() / file);
    write_file_atomic(base() / file, bytes + "\n");
    EXPECT_FALSE(is_kept()) << file;
    write_file_atomic(base() / file, bytes);
    EXPECT_TRUE(is_kept()) << file;
  }
  write_file_atomic(base() / "chat_template.jinja", kTinyTemplate);
  EXPECT_FALSE(is_kept());
  fs::remove(base() / "chat_template.jinja");
  EXPECT_TRUE(is_kept());
  // A header of another shape with as many bytes.
  edit_weights([](auto& tensors) {
    for (SafetensorsTensor& t : tensors) {
      if (t.name == "model.norm.weight") t.name = "model.norm.weighs";
    }
  });
  EXPECT_FALSE(is_kept());
  EXPECT_EQ(probe_base(request).faults().size(), 1u);
}

TEST_F(BaseProbes, AReportWithFaultsIsNotKeptAndADamagedFileIsNone) {
  golden("llama_untied");
  const fs::path home = folder_ / "home";
  const ProbeRequest request{base().string(), {}, home};
  keep_probe_report(home, probe_base(request));
  for (const char* bytes :
       {"", "{\"reports\": 7}", "{\"reports\": [{\"key\": 1}, 2]}", "nonsense"}) {
    write_file_atomic(home / "probes.json", bytes);
    EXPECT_FALSE(probe_base(request).is_kept) << bytes;
  }
  keep_probe_report(home, probe_base(request));
  EXPECT_TRUE(probe_base(request).is_kept);
  const std::string kept = read_file(home / "probes.json");
  fs::remove(base() / "tokenizer_config.json");
  keep_probe_report(home, probe_base(request));
  EXPECT_EQ(read_file(home / "probes.json"), kept);
}

TEST_F(BaseProbes, TheTableHasARemedyForEachTrouble) {
  const std::vector<Probe> probes = {
      {"tensors", ProbeState::kPassed, "2 tensors", "never shown"},
      {"chat_template", ProbeState::kFailed, "it does not end", "take another"}};
  EXPECT_EQ(probe_table(probes),
            "tensors        passed   2 tensors\n"
            "chat_template  failed   it does not end\n"
            "                        -> take another\n");
}

}  // namespace
}  // namespace dlm
