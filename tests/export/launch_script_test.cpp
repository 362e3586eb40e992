// Launch scripts, run by the machine's own shell against a program that prints its arguments.
#include "export/launch_script.h"

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/interrupt.h"
#include "support/process.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

class LaunchScript : public ::testing::Test {
 protected:
  // The folder has a blank, a quote and a dollar in its name.
  LaunchScript() : here_(folder_ / "it's a $HOME") {
    make_folders(here_);
    write_script(folder_ / "server", "#!/bin/sh\nfor word; do printf '<%s>\\n' \"$word\"; done\n");
  }
  std::string run(const std::vector<LaunchWord>& words, const std::vector<std::string>& more = {}) {
    write_script(here_ / "launch.sh", launch_script("Starts the server.", words));
    EXPECT_EQ(run_process({"sh", "-n", (here_ / "launch.sh").string()}, "/", 20).exit_code, 0);
    std::vector<std::string> all = {(here_ / "launch.sh").string()};
    all.insert(all.end(), more.begin(), more.end());
    const ProcessResult result = run_process(all, "/", 20);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }

  TemporaryFolder folder_;
  fs::path here_;
};

TEST_F(LaunchScript, NamesFilesByItsOwnFolder) {
  const std::string at = here_.string();
  EXPECT_EQ(run({{(folder_ / "server").string(), ""},
                 {"--model", ""},
                 {"", "base.Q4_K_M.gguf"},
                 {"tone=", "adapters/tone"}}),
            "<--model>\n<" + at + "/base.Q4_K_M.gguf>\n<tone=" + at + "/adapters/tone>\n");
}

TEST_F(LaunchScript, KeepsWordsThatAShellWouldChange) {
  EXPECT_EQ(run({{(folder_ / "server").string(), ""},
                 {"a b", ""},
                 {"it's", ""},
                 {"$PATH `x` \"", ""},
                 {"", ""}}),
            "<a b>\n<it's>\n<$PATH `x` \">\n<>\n");
}

TEST_F(LaunchScript, HandsItsArgumentsOn) {
  EXPECT_EQ(run({{(folder_ / "server").string(), ""}, {"--port", ""}, {"8000", ""}},
                {"--port", "8001", "two words"}),
            "<--port>\n<8000>\n<--port>\n<8001>\n<two words>\n");
}

TEST(Process, TellsHowAProgramEnded) {
  const ProcessResult result = run_process({"sh", "-c", "echo out; echo err >&2; exit 3"}, "/", 20);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
}

TEST(RunProcess, GoesOnWhereAnInterruptIsNoReasonToStop) {
  raise_interrupt();
  EXPECT_THROW(run_process({"sleep", "60"}, "/", 20), Error);
  const ProcessResult result =
      run_process({"sh", "-c", "sleep 0.3; echo done"}, "/", 20, OnInterrupt::kGoOn);
  clear_interrupt();
  EXPECT_EQ(result.out, "done\n");
  EXPECT_EQ(result.exit_code, 0);
}

TEST(Process, KillsWhatTakesTooLong) {
  const ProcessResult result = run_process({"sleep", "60"}, "/", 1);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_code, -1);
}

}  // namespace
}  // namespace dlm
