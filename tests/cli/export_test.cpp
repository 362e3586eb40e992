// `dlm export` as a person runs it, on a base of two layers.
#include "export_fixture.h"

namespace dlm {
namespace {

TEST_F(ExportTest, WritesAProvedFileAndRecordsIt) {
  train();
  const ProgramResult result = export_it({"--quant", "Q8_0"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::set<std::string> names;
  for (const auto& [path, digest] : files_of(exported("Q8_0-merged"))) names.insert(path);
  EXPECT_EQ(names, (std::set<std::string>{"Modelfile", "export_manifest.json", "export_proof.json",
                                          "export_provenance.json", "merged.Q8_0.gguf"}));
  const Json manifest = manifest_of("Q8_0-merged");
  EXPECT_EQ(manifest.at("target").as_string(), "ollama");
  EXPECT_TRUE(manifest.at("merged").as_bool());
  EXPECT_EQ(manifest.at("artifacts").size(), 4u);
  EXPECT_TRUE(manifest.at("ollama_name").is_null());
  const Json row = parse_json(read_file(store() / "manifest.json")).at("exports").items().at(0);
  EXPECT_EQ(row.at("quant").as_string(), "Q8_0");
  EXPECT_EQ(row.at("base_gguf_sha256").as_string(),
            sha256_file_hex(exported("Q8_0-merged") / "merged.Q8_0.gguf"));
  EXPECT_NE(result.err.find("ollama is not on the PATH"), result.err.npos) << result.err;
  // No shipped file knows where it was made.
  for (const std::string& name : names) {
    EXPECT_EQ(read_file(exported("Q8_0-merged") / name).find(folder_.path().string()),
              std::string::npos)
        << name;
  }
}

TEST_F(ExportTest, CheckRepeatsHashesAndProof) {
  train();
  ASSERT_EQ(export_it({"--quant", "F16"}).exit_code, 0);
  const std::string at = exported("F16-merged").string();
  const ProgramResult good =
      run({"export", "--check", at, "--max-kl", "50", "--min-agreement", "0"});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_NE(good.err.find("4 files are as they were written"), good.err.npos) << good.err;
  write_file_atomic(exported("F16-merged") / "Modelfile", "FROM x\n");
  const ProgramResult bad = run({"export", "--check", at});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_NE(bad.err.find("Modelfile has another size"), bad.err.npos) << bad.err;
}

TEST_F(ExportTest, CheckReadsTheModelfileAgain) {
  train();
  ASSERT_EQ(export_it({"--quant", "F16"}).exit_code, 0);
  const fs::path at = exported("F16-merged");
  const std::string written = read_file(at / "Modelfile");
  // Somebody who changes the manifest with it still is found out.
  const auto check_with = [&](const std::string& modelfile) {
    const std::string manifest = read_file(at / "export_manifest.json");
    write_file_atomic(at / "Modelfile", modelfile);
    Json forged = parse_json(manifest);
    Json artifacts = Json::array();
    for (const Json& one : forged.at("artifacts").items()) {
      Json artifact = one;
      if (one.at("path").as_string() == "Modelfile") {
        artifact.set("sha256", sha256_hex(modelfile));
        artifact.set("size_bytes", static_cast<int64_t>(modelfile.size()));
      }
      artifacts.push_back(artifact);
    }
    forged.set("artifacts", artifacts);
    write_file_atomic(at / "export_manifest.json", forged.dump(2) + "\n");
    const ProgramResult result =
        run({"export", "--check", at.string(), "--max-kl", "50", "--min-agreement", "0"});
    write_file_atomic(at / "export_manifest.json", manifest);
    return result;
  };
  EXPECT_EQ(check_with(written).exit_code, 0);
  EXPECT_EQ(check_with(written + "PARAMETER num_ctx 77\n").exit_code, 0);
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = written;
    const size_t place = text.find(from);
    EXPECT_NE(place, text.npos) << from;
    return text.replace(place, from.size(), to);
  };
  for (const auto& [text, command] :
       {std::pair(replaced("<|im_start|>", "<|im_begin|>"), "template"),
        std::pair(replaced("PARAMETER stop", "# stop"), "stop"),
        std::pair(replaced("FROM ./", "FROM ./other-"), "from"),
        std::pair(written + "ADAPTER ./x.gguf\n", "adapter")}) {
    const ProgramResult result = check_with(text);
    EXPECT_EQ(result.exit_code, 1) << text;
    EXPECT_NE(result.err.find(command + std::string("\" is not what this export has there")),
              result.err.npos)
        << result.err;
  }
}

TEST_F(ExportTest, CheckKnowsTheTargetsThatThisProgramWrites) {
  train();
  ASSERT_EQ(export_it({"--quant", "F16"}).exit_code, 0);
  const fs::path at = exported("F16-merged");
  for (const char* key : {"target", "quant"}) {
    const std::string manifest = read_file(at / "export_manifest.json");
    Json other = parse_json(manifest);
    other.set(key, "weird");
    write_file_atomic(at / "export_manifest.json", other.dump(2) + "\n");
    const ProgramResult result = run({"export", "--check", at.string()});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find("which this program does not write"), result.err.npos) << result.err;
    write_file_atomic(at / "export_manifest.json", manifest);
  }
}

TEST_F(ExportTest, CheckHoldsAnExportToTheLimitsThatItWasMadeWith) {
  train();
  ASSERT_EQ(export_it({"--quant", "Q4_K_M"}).exit_code, 0);
  const std::string at = exported("Q4_K_M-merged").string();
  const ProgramResult as_made = run({"export", "--check", at, "--json"});
  EXPECT_EQ(as_made.exit_code, 0) << as_made.err;
  const Json json = parse_json(as_made.out);
  EXPECT_EQ(json.at("proof").at("limits").at("max_kl").as_double(), 50.0);
  EXPECT_TRUE(json.at("no_proof_reason").is_null());
  EXPECT_EQ(json.at("templates").items().at(0).at("file").as_string(), "merged.Q4_K_M.gguf");
  EXPECT_EQ(run({"export", "--check", at, "--max-kl", "0"}).exit_code, 1);
}

TEST_F(ExportTest, CheckSaysWhyItRepeatsNoProof) {
  train();
  ASSERT_EQ(export_it({"--quant", "F16"}).exit_code, 0);
  fs::rename(exported("F16-merged"), folder_ / "elsewhere");
  const ProgramResult result =
      run({"export", "--check", (folder_ / "elsewhere").string(), "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(parse_json(result.out).at("no_proof_reason").as_string(),
            "the folder does not lie in a store");
}

TEST_F(ExportTest, SameExportGivesTheSameBytes) {
  train();
  options_.environment["SOURCE_DATE_EPOCH"] = "1700000000";
  ASSERT_EQ(export_it({"--quant", "Q8_0"}).exit_code, 0);
  const auto first = files_of(exported("Q8_0-merged"));
  options_.environment["DLM_THREADS"] = "2";
  ASSERT_EQ(export_it({"--quant", "Q8_0"}).exit_code, 0);
  EXPECT_EQ(files_of(exported("Q8_0-merged")), first);
  EXPECT_EQ(manifest_of("Q8_0-merged").at("created_at").as_string(), "2023-11-14T22:13:20");
}

TEST_F(ExportTest, FailsWithoutAFileWhenTheProofDoesNotHold) {
  train();
  const ProgramResult result =
      run({"export", document().string(), "--quant", "Q8_0", "--max-kl", "0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("proof: "), result.err.npos) << result.err;
  EXPECT_TRUE(files_of(store() / "exports").empty());
}

TEST_F(ExportTest, RegistersWithOllamaAndAsksOnce) {
  train();
  install("ollama", "echo \"$@\" >> " + (folder_ / "said").string() +
                        "\ncase $1 in --version) echo ollama version is 0.5.7;; create) test -f "
                        "Modelfile;; run) echo; echo ' Hello there. ';; esac\n");
  const ProgramResult result = export_it({"--quant", "Q8_0", "--name", "me/notes:v1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read_file(folder_ / "said"),
            "--version\ncreate me/notes:v1-candidate -f Modelfile\n"
            "run me/notes:v1-candidate Hello.\ncp me/notes:v1-candidate me/notes:v1\n"
            "rm me/notes:v1-candidate\n");
  // What it says is chance, and no part of files that are the same at every export.
  const Json proof = parse_json(read_file(exported("Q8_0-merged") / "export_proof.json"));
  EXPECT_EQ(proof.find("smoke"), nullptr);
  EXPECT_NE(result.err.find("ollama: me/notes:v1 (v0.5.7)"), result.err.npos) << result.err;
  EXPECT_NE(result.err.find("smoke: Hello there."), result.err.npos) << result.err;
  EXPECT_EQ(manifest_of("Q8_0-merged").at("ollama_name").as_string(), "me/notes:v1");
}

TEST_F(ExportTest, AFailedSmokeLeavesNothing) {
  train();
  install("ollama",
          "echo \"$@\" >> " + (folder_ / "said").string() +
              "\ncase $1 in --version) echo 0.5.7;; run) echo broken >&2; exit 1;; esac\n");
  const ProgramResult result = export_it({"--quant", "Q8_0", "--name", "mine"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("smoke: the model in Ollama did not answer: broken"), result.err.npos)
      << result.err;
  EXPECT_TRUE(files_of(store() / "exports").empty());
  // A model of that name that was there before stays.
  EXPECT_EQ(read_file(folder_ / "said"),
            "--version\ncreate mine-candidate -f Modelfile\nrun mine-candidate Hello.\n"
            "rm mine-candidate\n");
}

TEST_F(ExportTest, RefusesAnOldOllamaBeforeWork) {
  train();
  install("ollama", "echo ollama version is 0.3.12\n");
  expect_refused(
      {"export", document().string()}, 1,
      "ollama: ollama 0.3.12 is older than 0.4.2, which exports need\nhint: update it, or "
      "export the files alone with --skip-ollama\n");
}

TEST_F(ExportTest, RefusesAnAdapterForAnOllamaThatTakesNone) {
  train();
  install("ollama",
          "case $1 in --version) echo ollama version is 0.34.1;; run) echo Hello;; esac\n");
  expect_refused({"export", document().string(), "--adapter-form"}, 1,
                 "ollama: ollama 0.34.1 takes no adapter beside a GGUF file\nhint: export with "
                 "--merged, or export the files alone with --skip-ollama\n");
  EXPECT_EQ(export_it({"--quant", "F16", "--adapter-form", "--skip-ollama"}).exit_code, 0);
  EXPECT_EQ(export_it({"--quant", "F16"}).exit_code, 0);
}

TEST_F(ExportTest, LaunchesLlamaServerOnTheFilesBesideTheScript) {
  train();
  const ProgramResult result = export_it({"--target", "llama-server", "--quant", "F16"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  install("llama-server", "for word; do echo \"<$word>\"; done\n");
  const fs::path moved = folder_ / "elsewhere";
  fs::rename(exported("F16-llama-server"), moved);
  const std::string command = "PATH=" + (folder_ / "bin").string() + ":/usr/bin:/bin '" +
                              (moved / "llama-server_launch.sh").string() + "' --port 9 > '" +
                              (folder_ / "words").string() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string at = moved.string();
  EXPECT_EQ(read_file(folder_ / "words"),
            "<--model>\n<" + at + "/base.F16.gguf>\n<--lora>\n<" + at +
                "/adapter.gguf>\n<--ctx-size>\n<512>\n<--jinja>\n<--chat-template-file>\n<" + at +
                "/chat-template.jinja>\n<--host>\n<127.0.0.1>\n<--port>\n<8000>\n<--port>\n<9>\n");
}

TEST_F(ExportTest, WritesFoldersForVllmMlxAndTransformers) {
  train();
  for (const char* target : {"vllm", "mlx-serve", "hf"}) {
    const ProgramResult result = run({"export", document().string(), "--target", target});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(manifest_of(target).at("quant").as_string(), "hf");
    EXPECT_NE(result.err.find("proof: "), result.err.npos) << result.err;
    EXPECT_NE(result.err.find("16 of 16 conversations"), result.err.npos) << result.err;
    const Json proof = parse_json(read_file(exported(target) / "export_proof.json"));
    EXPECT_TRUE(proof.at("holds").as_bool());
    EXPECT_EQ(proof.at("quant").as_string(), "hf");
    const Json provenance = parse_json(read_file(exported(target) / "export_provenance.json"));
    EXPECT_EQ(provenance.at("proof").at("tokens").as_int(), proof.at("tokens").as_int());
    EXPECT_EQ(provenance.at("template").at("conversations").size(), 16u);
    const ProgramResult again = run({"export", "--check", exported(target).string(), "--json"});
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(parse_json(again.out).at("proof").dump(), proof.dump());
  }
  EXPECT_TRUE(path_exists(exported("vllm") / "adapters" / "adapter" / "adapter_model.safetensors"));
  EXPECT_FALSE(path_exists(exported("vllm") / "adapters" / "adapter" / "training_state.pt"));
  EXPECT_NE(read_file(exported("vllm") / "vllm_launch.sh").find("--max-lora-rank 8 "),
            std::string::npos);
  EXPECT_TRUE(path_exists(exported("mlx-serve") / "adapter" / "adapters.safetensors"));
  EXPECT_TRUE(path_exists(exported("hf") / "model.safetensors"));
  EXPECT_TRUE(path_exists(exported("hf") / "adapter" / "adapter_config.json"));
}

TEST_F(ExportTest, RefusesADocumentThatWasNotTrained) {
  write_document(kPairs);
  expect_refused(
      {"export", document().string()}, 1,
      "export: there is no current adapter: the document has not been trained\nhint: run "
      "`dlm train HERE/notes.dlm` before exporting\n");
}

TEST_F(ExportTest, RefusesToMergeAnAdapterOf4BitsWithoutConsent) {
  train();
  const fs::path record = store() / "adapter" / "versions" / "v0001" / "training_run.json";
  std::string text = read_file(record);
  const size_t at = text.find("\"use_qlora\": false");
  ASSERT_NE(at, text.npos);
  text.replace(at, 18, "\"use_qlora\": true");
  const std::string full = "\"base_weights\": \"full\"";
  for (size_t i = text.find(full); i != text.npos; i = text.find(full)) {
    text.replace(i, full.size(), "\"base_weights\": \"nf4\"");
  }
  write_file_atomic(record, text);
  const ProgramResult result = run({"export", document().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err.find("merge: the adapter was trained on weights of 4 bits"), 0u)
      << result.err;
  EXPECT_FALSE(path_exists(store() / "exports"));
}

TEST_F(ExportTest, RefusesWrongUse) {
  train();
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--target", "nowhere"},
                                                {"--quant", "Q3"},
                                                {"--adapter", "tone"},
                                                {"--draft", "x", "--no-draft"},
                                                {"--adapter-form", "--dequantize"},
                                                {"--emit-sway-json"},
                                                {"--draft", "x\nFROM /etc/passwd"},
                                                {"--target", "vllm", "--name", " "},
                                                {"--check", "x", "--target", "hf"},
                                                {"--check", "x", "--merged"},
                                                {"--name", "a b"}}) {
    std::vector<std::string> all = {"export", document().string()};
    all.insert(all.end(), words.begin(), words.end());
    const ProgramResult result = run(all);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.err.find("export: "), 0u) << result.err;
  }
}

TEST_F(ExportTest, RefusesABaseThatChanged) {
  train();
  const fs::path other = folder_ / "bases";
  fs::copy(shared_bases(), other, fs::copy_options::recursive);
  fs::remove(other / kTinyBaseKey / "model.safetensors");
  options_.environment["DLM_BASES"] = other.string();
  const ProgramResult result = run({"export", document().string()});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_FALSE(path_exists(store() / "exports"));
}

}  // namespace
}  // namespace dlm
