// Going on with a stopped run and training a version again, from the command line: Ctrl-C, kill -9
// at random instants, instruction sets, and what is said about each.
#include <gmock/gmock.h>

#include <thread>

#include "cli_fixture.h"
#include "store/adapter_versions.h"
#include "store/checkpoint.h"

namespace dlm {
namespace {

class Resumed : public CliTest {
 protected:
  Resumed() { write_document(kPairs, "training:\n  num_epochs: 40\n  grad_accum: 1\n"); }

  std::vector<std::string> train(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train", document().string(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Of a straight run in a store of its own.
  std::string straight_digest() {
    const auto home = options_.environment["DLM_HOME"];
    options_.environment["DLM_HOME"] = (folder_ / "straight").string();
    const ProgramResult result = run(train());
    options_.environment["DLM_HOME"] = home;
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out).at("adapter_sha256").as_string();
  }
  StoreLayout layout() const { return StoreLayout(home(), kTestId); }
};

TEST_F(Resumed, AfterCtrlCAndKillsTheAdapterIsThatOfAStraightRun) {
  const std::string whole = straight_digest();
  int num_stopped = 0;
  uint64_t random = 2026;
  std::vector<std::string> more = {"--checkpoint-every", "0"};
  ProgramResult result;
  for (int round = 0;; ++round) {
    ASSERT_LT(round, 60);
    Program program(train(more), options_);
    // Kill some time after the first checkpoint (or the first one of this process) is there.
    random = random * 6364136223846793005u + 1442695040888963407u;
    if (round < 8) {
      for (int i = 0; i < 4000 && !has_checkpoint(layout(), {}); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds((random >> 33) % 400));
      ::kill(program.child(), round % 2 == 0 ? SIGKILL : SIGINT);
    }
    result = program.finish();
    if (result.exit_code == 0) break;
    ++num_stopped;
    if (round % 2 == 1 && round < 8) {
      // On a machine that is slow to start it, Ctrl-C ends the program before it takes notice.
      EXPECT_TRUE(result.exit_code == 130 || result.exit_code == -1)
          << result.exit_code << result.err;
    }
    EXPECT_TRUE(has_checkpoint(layout(), {}));
    more = {"--checkpoint-every", "0", "--resume"};
  }
  EXPECT_GT(num_stopped, 0);
  EXPECT_EQ(parse_json(result.out).at("adapter_sha256").as_string(), whole);
  EXPECT_GT(parse_json(result.out).at("resumed_at_step").as_int(), 0);
  EXPECT_FALSE(has_checkpoint(layout(), {}));
}

TEST_F(Resumed, ReproduceSaysTheSameBytes) {
  train_shortly();
  const ProgramResult text = run({"reproduce", document().string()});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.err.find("v0001 (2 steps, "), std::string::npos) << text.err;
  EXPECT_NE(text.err.find("): the same bytes, in "), std::string::npos) << text.err;
  EXPECT_EQ(text.out,
            sha256_file_hex(store() / "adapter/versions/v0001/adapter_model.safetensors") + "\n");
  const ProgramResult json =
      run({"reproduce", document().string(), "--version", "v0001", "--json", "--threads", "3"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_TRUE(parse_json(json.out).at("same").as_bool());
  EXPECT_EQ(parse_json(json.out).at("version").as_int(), 1);
}

TEST_F(Resumed, ReproduceSaysWhatDiffersAndEndsWithOne) {
  train_shortly();
  options_.environment["DLM_ISA"] = "scalar";
  const ProgramResult result = run({"reproduce", document().string()});
  EXPECT_NE(result.err.find("differs: instruction set: "), std::string::npos) << result.err;
  EXPECT_EQ(result.exit_code, 1) << result.err;
}

TEST_F(Resumed, WrongUseOfReproduce) {
  expect_refused({"reproduce", document().string()}, 1,
                 "train: the document has not been trained yet\nhint: run `dlm train` first\n");
  EXPECT_EQ(run({"reproduce", document().string(), "--version", "vx"}).exit_code, 2);
  train_shortly();
  expect_refused({"reproduce", document().string(), "--version", "v0007"}, 1,
                 "store: HERE/home/store/01KPG0GVBVZZZZZZZZZZZZZZZZ/adapter/versions: there is no "
                 "version v0007\n");
}

TEST_F(Resumed, WithNothingToGoOnFrom) {
  expect_refused({"train", document().string(), "--resume"}, 1,
                 "resume: there is no run to go on from\nhint: train without --resume first\n");
  EXPECT_EQ(run({"train", document().string(), "--resume", "--fresh"}).exit_code, 2);
}

TEST_F(Resumed, ACompleteRunIsNoError) {
  write_document(kPairs, "training:\n  num_epochs: 1\n");
  EXPECT_EQ(run(train()).exit_code, 0);
  const ProgramResult result = run({"train", document().string(), "--resume"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.ends_with(
      "no-op: the run has taken its 1 steps; raise training.num_epochs for more\n"))
      << result.err;
}

// Each tier that this processor has gives its own bytes whatever the number of threads; the weaker
// ones say so.
TEST_F(Resumed, EveryInstructionSetGivesItsOwnBytesAndNamesItsClass) {
  // Prose on a base without a chat template needs no general rows, which would take seconds.
  const TemporaryFolder bases;
  write_tiny_bases(bases.path());
  write_file_atomic(bases.path() / kTinyBaseKey / "tokenizer_config.json",
                    tiny_tokenizer_config("<|endoftext|>", ""));
  options_.environment["DLM_BASES"] = bases.path().string();
  write_document("The otter swims in the river all night, and the heron waits for fish.\n",
                 "training:\n  sequence_len: 64\n");
  for (const char* tier : {"scalar", "avx2", "avx512", "avx512_bf16", "amx"}) {
    options_.environment["DLM_ISA"] = tier;
    std::vector<std::string> digests;
    for (const char* threads : {"1", "2", "3", "4", "8"}) {
      options_.environment["DLM_HOME"] = (folder_ / tier / threads).string();
      const ProgramResult result =
          run({"train", document().string(), "--max-steps", "2", "--json", "--threads", threads});
      if (result.exit_code != 0 && result.err.find("DLM_ISA") != std::string::npos) break;
      ASSERT_EQ(result.exit_code, 0) << result.err;
      const Json json = parse_json(result.out);
      digests.push_back(json.at("adapter_sha256").as_string());
      EXPECT_EQ(digests.back(), digests.front()) << tier << ", " << threads << " threads";
      EXPECT_EQ(json.at("determinism_class").as_string(), "strict");
    }
  }
}

TEST_F(Resumed, PromptRefusesABaseOfOtherWeights) {
  const TemporaryFolder bases;
  write_tiny_bases(bases.path());
  options_.environment["DLM_BASES"] = bases.path().string();
  train_shortly();
  const std::vector<std::string> ask = {"prompt", document().string(), "q", "--max-tokens", "2"};
  EXPECT_EQ(run(ask).exit_code, 0);
  // The same bytes under another time are the same base.
  const fs::path weights = bases.path() / kTinyBaseKey / "model.safetensors";
  fs::last_write_time(weights, fs::last_write_time(weights) + std::chrono::hours(1));
  EXPECT_EQ(run(ask).exit_code, 0);
  Decoder::random(tiny_model_config(), DType::kF32, 99)->save(bases.path() / kTinyBaseKey);
  const ProgramResult result = run(ask);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find(": the base's weights have the digest "), std::string::npos)
      << result.err;
  EXPECT_TRUE(result.err.starts_with("inference: ")) << result.err;
}

}  // namespace
}  // namespace dlm
