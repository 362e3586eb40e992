// The main job from the command line: init, train, show, prompt; what each prints, and as what
// JSON.
#include "cli_fixture.h"

namespace dlm {
namespace {

using Commands = CliTest;

// Rate and epochs that teach the tiny base two pairs in about a second.
constexpr const char* kThorough =
    "training:\n  learning_rate: 0.01\n  num_epochs: 100\n  lora_dropout: 0.0\n";

TEST_F(Commands, InitWritesADocumentThatTrainsAndItsStore) {
  const ProgramResult init = run({"init", document().string()});
  EXPECT_EQ(init.exit_code, 0) << init.err;
  EXPECT_EQ(init.out, "");
  EXPECT_TRUE(shown(init.err).starts_with("init: wrote HERE/notes.dlm\n")) << init.err;
  const std::string text = read_file(document());
  EXPECT_NE(text.find("base_model: dlm-nano\n"), text.npos) << text;
  EXPECT_NE(text.find("::instruction::"), text.npos) << text;
  const Json shown_json = parse_json(run({"show", document().string(), "--json"}).out);
  EXPECT_EQ(shown_json.at("training_runs").as_int(), 0);
  EXPECT_FALSE(shown_json.at("has_adapter_current").as_bool());
  EXPECT_EQ(run({"train", document().string(), "--max-steps", "1"}).exit_code, 0);
}

TEST_F(Commands, InitRefusesAnExistingFileUnlessForced) {
  write_document("My text.\n");
  expect_refused({"init", document().string()}, 1,
                 "init: HERE/notes.dlm: the file exists already\n"
                 "hint: choose another name, or overwrite it with --force\n");
  EXPECT_EQ(run({"init", document().string(), "--force"}).exit_code, 0);
  // The id, and with it the store, stays.
  EXPECT_NE(read_file(document()).find(kTestId), std::string::npos);
}

TEST_F(Commands, InitMakesMissingFoldersAndIsSilentWhenAsked) {
  const fs::path deep = folder_ / "a" / "b" / "notes.dlm";
  const ProgramResult result = run({"init", deep.string(), "-q"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(fs::exists(deep));
}

TEST_F(Commands, InitTakesAFolderAsBase) {
  const std::string base = (shared_bases() / kTinyBaseKey).string();
  EXPECT_EQ(run({"init", document().string(), "--base", base}).exit_code, 0);
  EXPECT_EQ(run({"train", document().string(), "--max-steps", "1"}).exit_code, 0);
}

TEST_F(Commands, TrainSaysItsPlanAndItsResult) {
  write_document(std::string("Rivers are long.\n") + kPairs);
  const ProgramResult result = run({"train", document().string(), "--max-steps", "2"});
  EXPECT_EQ(result.exit_code, 0);
  const std::string err = shown(result.err);
  for (const char* line : {"plan: 2 steps, rate ", "cost: about ", "sft: v0001 (2 steps, seed=42, ",
                           "adapter: HERE/home/store/01KPG0GVBVZZZZZZZZZZZZZZZZ/adapter/versions/"
                           "v0001\n",
                           "log:     HERE/home/store/01KPG0GVBVZZZZZZZZZZZZZZZZ/logs/"
                           "train-000001-"}) {
    EXPECT_NE(err.find(line), err.npos) << line << " in\n" << err;
  }
  // One line on standard output: the final loss.
  char* end = nullptr;
  EXPECT_GT(std::strtod(result.out.c_str(), &end), 0);
  EXPECT_STREQ(end, "\n");
}

TEST_F(Commands, TrainWarnsOfAModelThatForgot) {
  write_document(kPairs, "training:\n  learning_rate: 1000000.0\n");
  const ProgramResult result = run({"train", document().string(), "--max-steps", "3"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("warning: other prompts have become harder for the model than for its "
                            "base; lower training.learning_rate (it was 1e+06) and train again\n"),
            std::string::npos)
      << result.err;
}

TEST_F(Commands, QuietTrainingSaysNothingButTheLoss) {
  write_document(kPairs);
  const ProgramResult result = run({"-q", "train", document().string(), "--max-steps", "1"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1);
}

TEST_F(Commands, TrainAsJson) {
  write_document(kPairs);
  const Json json =
      parse_json(run({"train", document().string(), "--max-steps", "2", "--json"}).out);
  EXPECT_TRUE(json.at("trained").as_bool());
  EXPECT_EQ(json.at("adapter_version").as_int(), 1);
  EXPECT_EQ(json.at("run_id").as_int(), 1);
  EXPECT_EQ(json.at("steps").as_int(), 2);
  EXPECT_EQ(json.at("answers_total").as_int(), 2);
  EXPECT_EQ(json.at("adapter_sha256").as_string(),
            sha256_file_hex(store() / "adapter/versions/v0001/adapter_model.safetensors"));
  for (const char* key : {"plan", "adapter_path", "log_path", "summary_path", "final_train_loss",
                          "answers_exact", "drift", "kept_step", "seconds", "determinism_class"}) {
    EXPECT_NE(json.find(key), nullptr) << key;
  }
}

TEST_F(Commands, ADryRunShowsThePlanAndTouchesNothing) {
  write_document(kPairs);
  const ProgramResult text = run({"train", document().string(), "--dry-run"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.out, "");
  EXPECT_NE(text.err.find("plan: "), std::string::npos);
  const Json json = parse_json(run({"train", document().string(), "--dry-run", "--json"}).out);
  EXPECT_FALSE(json.at("trained").as_bool());
  EXPECT_GE(json.at("plan").at("steps").as_int(), 200);
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(Commands, TheSeedOfTheCommandLineWins) {
  write_document(kPairs, "training:\n  seed: 7\n");
  run({"train", document().string(), "--max-steps", "1"});
  run({"train", document().string(), "--max-steps", "1", "--seed", "8"});
  const Json manifest = parse_json(read_file(store() / "manifest.json"));
  EXPECT_EQ(manifest.at("training_runs").items()[0].at("seed").as_int(), 7);
  EXPECT_EQ(manifest.at("training_runs").items()[1].at("seed").as_int(), 8);
}

TEST_F(Commands, OneAndTwoThreadsGiveTheSameAdapter) {
  write_document(kPairs);
  std::vector<std::string> digests;
  for (const char* threads : {"1", "2", "3"}) {
    const Json json = parse_json(
        run({"train", document().string(), "--max-steps", "3", "--json", "--threads", threads})
            .out);
    digests.push_back(json.at("adapter_sha256").as_string());
  }
  EXPECT_EQ(digests[1], digests[0]);
  EXPECT_EQ(digests[2], digests[0]);
}

TEST_F(Commands, PromptAnswersWhatWasWritten) {
  write_document(kPairs, kThorough);
  const ProgramResult trained = run({"train", document().string()});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find("learned: 2 of 2 rows word for word"), std::string::npos)
      << trained.err;
  const ProgramResult answer = run({"prompt", document().string(), "What stands in the water?"});
  EXPECT_EQ(answer.exit_code, 0);
  EXPECT_EQ(answer.out, "The heron.\n");
  EXPECT_EQ(answer.err, "");

  const Json json =
      parse_json(run({"prompt", document().string(), "What stands in the water?", "--json"}).out);
  EXPECT_EQ(json.at("answer").as_string(), "The heron.");
  EXPECT_TRUE(json.at("stopped").as_bool());
  EXPECT_GT(json.at("prompt_tokens").as_int(), 5);
  EXPECT_GT(json.at("answer_tokens").as_int(), 1);
  EXPECT_EQ(json.at("base_model").as_string(), kTinyBaseKey);
  EXPECT_EQ(json.at("adapter").as_string(), (store() / "adapter/versions/v0001").string());

  options_.input = "  What stands in the water?\n";
  EXPECT_EQ(run({"prompt", document().string()}).out, "The heron.\n");
  // The base itself has not learnt it.
  EXPECT_NE(run({"prompt", document().string(), "What stands in the water?", "--base-only",
                 "--max-tokens", "8"})
                .out,
            "The heron.\n");
}

TEST_F(Commands, PromptSamplesBySeed) {
  write_document("Text.\n");
  const std::vector<std::string> ask = {
      "prompt", document().string(), "q", "--base-only", "--max-tokens", "12", "--temp", "3"};
  const auto with_seed = [&](const char* seed) {
    std::vector<std::string> arguments = ask;
    arguments.insert(arguments.end(), {"--seed", seed});
    return run(arguments).out;
  };
  EXPECT_EQ(with_seed("1"), with_seed("1"));
  EXPECT_NE(with_seed("1"), with_seed("2"));
}

TEST_F(Commands, PromptOfAnUntrainedDocumentSaysWhatToDo) {
  write_document(kPairs);
  expect_refused({"prompt", document().string(), "q"}, 1,
                 "inference: the document has not been trained yet\nhint: run `dlm train " +
                     shown(document().string()) +
                     "` first, or ask the base alone with --base-only\n");
}

TEST_F(Commands, AnEmptyQuestionIsWrongUse) {
  write_document(kPairs);
  const std::string expected =
      "prompt: the question is empty\nhint: give it as an argument or on standard input\n";
  expect_refused({"prompt", document().string(), ""}, 2, expected);
  expect_refused({"prompt", document().string(), " \n\t"}, 2, expected);
  expect_refused({"prompt", document().string()}, 2, expected);
  options_.input = "\n\n";
  expect_refused({"prompt", document().string()}, 2, expected);
}

TEST_F(Commands, AQuestionThatIsNoTextIsWrongUse) {
  write_document(kPairs);
  expect_refused({"prompt", document().string(), "\xff\xfe"}, 2,
                 "prompt: the question is not UTF-8 text\nhint: convert it to UTF-8\n");
}

TEST_F(Commands, ShowOfAnUntrainedDocument) {
  write_document(kPairs);
  const ProgramResult text = run({"show", document().string()});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(shown(text.out),
            "path           HERE/notes.dlm\n"
            "dlm_id         01KPG0GVBVZZZZZZZZZZZZZZZZ\n"
            "base_model     dlm-nano\n"
            "licence        MIT\n"
            "store          not yet initialized; `dlm train` creates it\n");
  const Json json = parse_json(run({"show", document().string(), "--json"}).out);
  EXPECT_EQ(json.at("dlm_id").as_string(), kTestId);
  EXPECT_EQ(json.at("base_model").as_string(), kTinyBaseKey);
  EXPECT_FALSE(json.at("store_initialized").as_bool());
  EXPECT_EQ(json.at("source_path").as_string(), document().string());
  EXPECT_NE(json.find("training_cache_config"), nullptr);
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(Commands, ShowOfATrainedDocument) {
  write_document(std::string("Rivers are long.\n") + kPairs);
  train_shortly();
  const auto before = files_of(home());
  const std::string text = shown(run({"show", document().string()}).out);
  for (const char* line :
       {"path           HERE/notes.dlm\n", "adapter        v0001\n", "training runs  1 (last "}) {
    EXPECT_NE(text.find(line), text.npos) << text;
  }
  const Json json = parse_json(run({"show", document().string(), "--json"}).out);
  EXPECT_EQ(json.at("dlm_id").as_string(), kTestId);
  EXPECT_EQ(json.at("adapter_version").as_int(), 1);
  EXPECT_EQ(json.at("training_runs").as_int(), 1);
  EXPECT_TRUE(json.at("has_adapter_current").as_bool());
  EXPECT_EQ(json.at("source_path").as_string(), document().string());
  EXPECT_FALSE(json.at("orphaned").as_bool());
  EXPECT_EQ(json.at("content_hashes").size(), 2u);
  for (const char* key : {"path", "base_model", "base_model_revision", "last_trained_at",
                          "replay_size_bytes", "total_size_bytes", "exports", "pinned_versions",
                          "named_adapters", "training_cache_config"}) {
    EXPECT_NE(json.find(key), nullptr) << key;
  }
  EXPECT_EQ(files_of(home()), before);
}

TEST_F(Commands, AClosedReaderIsAnErrorNotASignal) {
  write_document("Text.\n");
  options_.environment["DLM_HOME"] = home().string();
  Program program({"prompt", document().string(), "q", "--base-only"}, options_);
  program.close_output();
  const ProgramResult result = program.finish();
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("cannot write to standard output"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace dlm
