// Commands that are stopped: by Ctrl-C, by a second run at the same time, by kill -9 at any
// instant. The store stays readable at its last committed version, and the next run goes on from
// there.
#include <thread>

#include "cli_fixture.h"
#include "store/adapter_versions.h"
#include "store/manifest.h"
#include "store/store_lock.h"
#include "store/training_state.h"

namespace dlm {
namespace {

class Stopped : public CliTest {
 protected:
  Stopped() {
    write_document(kPairs, "training:\n  num_epochs: 2147483647\n");  // runs until it is stopped
    layout_ = std::make_unique<StoreLayout>(home(), kTestId);
  }

  std::vector<std::string> endless() const { return {"train", document().string()}; }

  // Starts an endless run and stops it by `number` once `word` stands on its standard error.
  ProgramResult stop_at(const std::string& word, int number) {
    bool sent = false;
    options_.on_err = [&](const std::string& err, pid_t child) {
      if (sent || err.find(word) == err.npos) return;
      sent = true;
      ::kill(child, number);
    };
    ProgramResult result = Program(endless(), options_).finish();
    options_.on_err = {};
    EXPECT_TRUE(sent) << result.err;
    return result;
  }

  // A fast machine may have taken a step before the signal arrives.
  std::map<std::string, std::string> files_but_checkpoints() const {
    auto files = files_of(home());
    std::erase_if(files, [](const auto& file) {
      return file.first.find("/.checkpoint/") != std::string::npos;
    });
    return files;
  }

  // Everything that a reader relies on; returns the current version's number.
  int64_t check_store() const {
    for (const int64_t number : list_versions(*layout_)) {
      EXPECT_NO_THROW(read_training_state(layout_->version(number)));
    }
    const int64_t current = current_version_number(*layout_);
    if (layout_->is_initialized()) {
      EXPECT_LE(read_manifest(*layout_).adapter_version, current);
    }
    return current;
  }

  std::unique_ptr<StoreLayout> layout_;
};

TEST_F(Stopped, CtrlCLeavesTheStoreAsItWas) {
  train_shortly();
  const auto before = files_of(home());
  for (const int number : {SIGINT, SIGTERM}) {
    const ProgramResult result = stop_at("cost: ", number);
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("\ninterrupted\n"), std::string::npos) << result.err;
    EXPECT_EQ(files_but_checkpoints(), before);
  }
}

TEST_F(Stopped, CtrlCInTheFirstRunLeavesNoFile) {
  const ProgramResult result = stop_at("cost: ", SIGINT);
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_TRUE(files_but_checkpoints().empty());
  const ProgramResult shown = run({"show", document().string()});
  EXPECT_NE(shown.out.find("not yet initialized"), std::string::npos);
}

TEST_F(Stopped, CtrlCEndsAWaitForTheQuestion) {
  options_.keep_input_open = true;
  Program program({"prompt", document().string(), "--base-only"}, options_);
  // Until it sleeps with its handler in place: only the read sleeps.
  const std::string status = "/proc/" + std::to_string(program.child()) + "/status";
  for (int i = 0; i < 2000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::string text = read_file(status, 1 << 16);
    const size_t caught = text.find("SigCgt:");
    if (caught == text.npos) continue;
    const uint64_t signals = std::stoull(text.substr(caught + 7, 18), nullptr, 16);
    if ((signals >> (SIGINT - 1) & 1) != 0 && text.find("State:\tS") != text.npos) break;
  }
  ::kill(program.child(), SIGINT);
  const ProgramResult result = program.finish();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(result.err, "interrupted\n");
}

TEST_F(Stopped, ASecondRunAtTheSameTimeIsRefusedAtOnce) {
  Program first(endless(), options_);
  for (int i = 0; i < 2000 && !fs::exists(store() / "logs"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const ProgramResult second = run({"train", document().string()});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_EQ(second.out, "");
  EXPECT_TRUE(shown(second.err)
                  .starts_with("store: HERE/home/store/" + std::string(kTestId) +
                               "/.lock: the store is in use by process " +
                               std::to_string(first.child()) + " on "))
      << second.err;
  EXPECT_TRUE(second.err.ends_with(
      "Z\nhint: wait until it is done, or stop it, and run the command again\n"))
      << second.err;
  EXPECT_EQ(std::count(second.err.begin(), second.err.end(), '\n'), 2) << second.err;
  // Reading goes on.
  EXPECT_EQ(run({"show", document().string()}).exit_code, 0);
  ::kill(first.child(), SIGINT);
  EXPECT_EQ(first.finish().exit_code, 130);
  for (const auto& [name, digest] : files_of(home())) {
    EXPECT_NE(name.find("/adapter/.checkpoint/"), name.npos) << name;
  }
}

TEST_F(Stopped, KillAtRandomInstantsLeavesAReadableStore) {
  write_document(kPairs, "training:\n  num_epochs: 1\n");
  const auto begin = std::chrono::steady_clock::now();
  train_shortly();
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begin);
  int64_t last = check_store();
  EXPECT_EQ(last, 1);
  uint64_t random = 2026;
  for (int round = 0; round < 8; ++round) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    // From the start to a little after the end of a run.
    const auto delay = whole * static_cast<int64_t>((random >> 33) % 120) / 100;
    Program program({"train", document().string(), "--max-steps", "2"}, options_);
    std::this_thread::sleep_for(delay);
    ::kill(program.child(), SIGKILL);
    program.finish();
    const int64_t current = check_store();
    EXPECT_GE(current, last);
    EXPECT_LE(current, last + 1);
    last = current;
    EXPECT_EQ(run({"show", document().string()}).exit_code, 0);
  }
  train_shortly();
  EXPECT_EQ(check_store(), last + 1);
  for (const auto& [name, digest] : files_of(home())) {
    EXPECT_EQ(name.find(".tmp."), name.npos) << name;
    EXPECT_EQ(name.find(".pending"), name.npos) << name;
  }
}

}  // namespace
}  // namespace dlm
