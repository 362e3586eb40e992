// Exports of several adapters, of a base in a folder of its own, and what their files and names
// say.
#include "export_fixture.h"

namespace dlm {
namespace {

class ExportForms : public ExportTest {
 protected:
  // A store of two adapters, as the Python program of this name makes them; both are the same one.
  void train_two() {
    train();
    for (const char* name : {"tone", "facts"}) {
      fs::create_directories(store() / "adapter" / name);
      fs::copy(store() / "adapter" / "versions", store() / "adapter" / name / "versions",
               fs::copy_options::recursive);
      write_file_atomic(store() / "adapter" / name / "current.txt",
                        read_file(store() / "adapter" / "current.txt"));
    }
    write_document(kPairs, "training:\n  adapters:\n    tone: {}\n    facts: {}\n");
  }
  void expect_no_paths(const fs::path& folder) const {
    for (const auto& [name, digest] : files_of(folder)) {
      EXPECT_EQ(read_file(folder / name).find(folder_.path().string()), std::string::npos)
          << folder << " " << name;
    }
  }
};

TEST_F(ExportForms, MixesAdaptersForEveryTarget) {
  train_two();
  const std::pair<const char*, const char*> targets[] = {
      {"ollama", "F16-merged-mix-tone-0.75-facts-0.25"},
      {"llama-server", "F16-llama-server-mix-tone-0.75-facts-0.25"},
      {"vllm", "vllm-mix-tone-0.75-facts-0.25"},
      {"mlx-serve", "mlx-serve-mix-tone-0.75-facts-0.25"},
      {"hf", "hf-mix-tone-0.75-facts-0.25"}};
  for (const auto& [target, folder] : targets) {
    const ProgramResult result =
        export_it({"--target", target, "--quant", "F16", "--adapter-mix", "tone:0.75,facts:0.25"});
    ASSERT_EQ(result.exit_code, 0) << target << result.err;
    EXPECT_EQ(manifest_of(folder).at("target").as_string(), target);
    expect_no_paths(exported(folder));
    const ProgramResult checked = run({"export", "--check", exported(folder).string()});
    EXPECT_EQ(checked.exit_code, 0) << target << checked.err;
    EXPECT_NE((checked.out + checked.err).find("divergence"), std::string::npos)
        << checked.out << checked.err;
  }
  EXPECT_EQ(export_it({"--adapter-mix", "tone:1e300,facts:1", "--target", "hf"}).exit_code, 2);
}

TEST_F(ExportForms, NamesOfModelsDiffer) {
  train_two();
  const auto name_of = [&](std::vector<std::string> words) {
    const ProgramResult result = export_it(std::move(words));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const size_t at = result.err.find("ollama create ") + 14;
    return result.err.substr(at, result.err.find(' ', at) - at);
  };
  const std::string stem = "dlm-" + lower_ascii(kTestId);
  EXPECT_EQ(name_of({"--adapter", "tone", "--no-imatrix"}), stem + "-tone:v0001");
  EXPECT_EQ(name_of({"--adapter", "facts", "--no-imatrix"}), stem + "-facts:v0001");
  EXPECT_EQ(name_of({"--adapter", "facts", "--quant", "F16"}), stem + "-facts:v0001-f16");
  EXPECT_EQ(name_of({"--adapter", "facts", "--quant", "F16", "--adapter-form"}),
            stem + "-facts:v0001-f16-adapter");
}

TEST_F(ExportForms, AFolderAsBaseLeavesNoPathInAnyFile) {
  const fs::path base = folder_ / "my-base";
  fs::copy(shared_bases() / kTinyBaseKey, base, fs::copy_options::recursive);
  // What transformers leaves in the files of a model that it loaded from a folder.
  for (const auto& [file, key] : {std::pair("config.json", "_name_or_path"),
                                  std::pair("tokenizer_config.json", "name_or_path")}) {
    Json config = parse_json(read_file(base / file));
    config.set(key, (folder_ / "models" / "mine").string());
    write_file_atomic(base / file, config.dump(2) + "\n");
  }
  write_file_atomic(document(), std::string("---\ndlm_id: ") + kTestId +
                                    "\ndlm_version: 15\nbase_model: " + base.string() + "/\n---\n" +
                                    kPairs);
  train_shortly();
  const std::pair<const char*, const char*> targets[] = {{"ollama", "F16-merged"},
                                                         {"llama-server", "F16-llama-server"},
                                                         {"vllm", "vllm"},
                                                         {"mlx-serve", "mlx-serve"},
                                                         {"hf", "hf"}};
  for (const auto& [target, folder] : targets) {
    const ProgramResult result = export_it({"--target", target, "--quant", "F16"});
    ASSERT_EQ(result.exit_code, 0) << target << result.err;
    EXPECT_EQ(manifest_of(folder).at("base_model_hf_id").as_string(), "my-base");
    expect_no_paths(exported(folder));
  }
  for (const char* file : {"hf/adapter", "vllm/adapters/adapter"}) {
    const fs::path config = exported(file) / "adapter_config.json";
    EXPECT_EQ(parse_json(read_file(config)).at("base_model_name_or_path").as_string(), "my-base");
  }
}

TEST_F(ExportForms, ASystemPromptThatAModelfileCannotHoldIsRefusedBeforeWork) {
  write_document(kPairs, "system_prompt: |\n  Be brief.\n  Say \"yes\"\n");
  train_shortly();
  const auto before = files_of(folder_.path());
  const ProgramResult result = export_it({"--quant", "F16"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("preflight[system_prompt]"), result.err.npos) << result.err;
  EXPECT_EQ(result.err.find("export: "), result.err.npos) << result.err;
  EXPECT_EQ(export_it({"--quant", "F16", "--target", "llama-server"}).exit_code, 0);
}

TEST_F(ExportForms, TheImportanceMatrixIsMeasuredOnceForAllQuants) {
  train();
  const ProgramResult first = export_it({"--quant", "Q4_K_M"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  ASSERT_TRUE(path_exists(exported("Q4_K_M-merged") / "imatrix.meta.json")) << first.err;
  const auto changed = fs::last_write_time(store() / "cache/imatrix/merged/imatrix.gguf");
  ASSERT_EQ(export_it({"--quant", "Q5_K_M"}).exit_code, 0);
  EXPECT_EQ(fs::last_write_time(store() / "cache/imatrix/merged/imatrix.gguf"), changed);
  EXPECT_EQ(sha256_file_hex(exported("Q4_K_M-merged") / "imatrix.gguf"),
            sha256_file_hex(exported("Q5_K_M-merged") / "imatrix.gguf"));
}

TEST_F(ExportForms, SaysWhichFlagsATargetHasNoUseFor) {
  train();
  const ProgramResult result =
      export_it({"--target", "llama-server", "--quant", "F16", "--name", "x y", "--skip-ollama"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("llama-server has no use for --skip-ollama, --name"), result.err.npos)
      << result.err;
  EXPECT_EQ(run({"export", document().string(), "--max-kl", "nan"}).exit_code, 2);
}

}  // namespace
}  // namespace dlm
