// The command line as a whole: version, help, where options may stand, wrong use, and what is
// printed where.
#include "cli_fixture.h"
#include "support/version.h"

namespace dlm {
namespace {

using CommandLine = CliTest;

TEST_F(CommandLine, PrintsItsVersion) {
  const ProgramResult result = run({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, std::string("dlm ") + kVersion + "\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(CommandLine, PrintsHelpOfTheProgramAndOfEachCommand) {
  for (const char* flag : {"--help", "-h"}) {
    const ProgramResult result = run({flag});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    for (const char* word :
         {"init", "train", "prompt", "export", "show", "doctor", "--home", "--threads"}) {
      EXPECT_NE(result.out.find(word), std::string::npos) << word;
    }
  }
  for (const char* command : {"init", "train", "prompt", "export", "show", "doctor"}) {
    const ProgramResult result = run({command, "--help"});
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_NE(result.out.find("Usage: dlm " + std::string(command)), std::string::npos)
        << result.out;
    EXPECT_EQ(result.err, "");
  }
}

TEST_F(CommandLine, WithoutArgumentsPrintsHelpAndIsWrongUse) {
  const ProgramResult result = run({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, run({"--help"}).out);
}

TEST_F(CommandLine, WrongUseIsExitCode2AndSaysWhat) {
  write_document("Text.\n");
  const std::string path = document().string();
  const std::vector<std::pair<std::vector<std::string>, const char*>> cases = {
      {{"--home", "x"}, "subcommand"},
      {{"train"}, "path"},
      {{"train", path, "--max-steps", "0"}, "--max-steps"},
      {{"train", path, "--max-steps", "many"}, "--max-steps"},
      {{"train", path, "--seed", "-1"}, "--seed"},
      {{"train", path, "--seed", "4294967296"}, "--seed"},
      {{"train", path, "--strict-lock", "--update-lock"}, "--strict-lock"},
      {{"train", path, "--ignore-lock", "--update-lock"}, "--update-lock"},
      {{"train", path, "--no-such-option"}, "--no-such-option"},
      {{"prompt", path, "q", "--max-tokens", "0"}, "--max-tokens"},
      {{"prompt", path, "q", "--max-tokens", "-3"}, "--max-tokens"},
      {{"prompt", path, "q", "--temp", "-0.5"}, "--temp"},
      {{"prompt", path, "q", "--temp", "nan"}, "--temp"},
      {{"prompt", path, "q", "--temp", "inf"}, "--temp"},
      {{"prompt", path, "q", "--top-p", "1.5"}, "--top-p"},
      {{"prompt", path, "q", "--top-p", "nan"}, "--top-p"},
      {{"prompt", path, "q", "--top-k", "-1"}, "--top-k"},
      {{"prompt", path, "q", "another"}, "another"},
      {{"show", path, "-v", "-q"}, "--quiet"},
      {{"show", path, "--threads", "0"}, "--threads"},
      {{"show", path, "--threads", "100000"}, "--threads"},
  };
  for (const auto& [arguments, word] : cases) {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << join(arguments, " ");
    EXPECT_EQ(result.out, "") << join(arguments, " ");
    EXPECT_NE(result.err.find(word), std::string::npos) << join(arguments, " ") << result.err;
  }
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(CommandLine, AnUnknownCommandIsNamedAndANearOneSuggested) {
  expect_refused({"trian", "notes.dlm", "--seed", "3"}, 2,
                 "dlm: there is no command \"trian\"\nhint: did you mean \"train\"?\n");
  expect_refused({"frobnicate"}, 2,
                 "dlm: there is no command \"frobnicate\"\nhint: the commands are bases, cache, "
                 "doctor, export, "
                 "init, migrate, pretrain, prompt, replay, reproduce, show, templates, train; see "
                 "dlm --help\n");
}

TEST_F(CommandLine, OptionsMayStandAnywhere) {
  write_document("Text.\n");
  const std::string path = document().string();
  const std::string elsewhere = (folder_ / "elsewhere").string();
  const std::string expected = run({"show", path, "--json"}).out;
  EXPECT_NE(expected, "");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"show", "--json", path},
        {"-q", "show", path, "--json"},
        {"show", "-q", path, "--json"},
        {"show", path, "--json", "-q"},
        {"--home", elsewhere, "show", path, "--json"},
        {"show", "--home", elsewhere, path, "--json"},
        {"show", path, "--json", "--home=" + elsewhere},
        {"show", "--threads", "1", path, "--json", "-v"},
        {"show", "--json", "--", path}}) {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << join(arguments, " ") << result.err;
    EXPECT_EQ(result.out, expected) << join(arguments, " ");
  }
}

TEST_F(CommandLine, TheHomeOptionWinsOverTheEnvironment) {
  const std::string other = (folder_ / "other").string();
  EXPECT_EQ(run({"init", document().string(), "--home", other}).exit_code, 0);
  EXPECT_TRUE(fs::exists(fs::path(other) / "store"));
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(CommandLine, ABadNumberOfThreadsInTheEnvironmentIsWrongUse) {
  write_document(kPairs);
  options_.environment["DLM_THREADS"] = "lots";
  const ProgramResult result = run({"train", document().string()});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("DLM_THREADS"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(CommandLine, NoColourReachesAPipe) {
  write_document(kPairs);
  options_.environment["TERM"] = "xterm-256color";
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"train", document().string(), "--max-steps", "1"},
        {"train", (folder_ / "absent.dlm").string()},
        {"show", document().string()},
        {"prompt", document().string(), "q", "--max-tokens", "2"},
        {"--help"}}) {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.out.find('\033'), std::string::npos);
    EXPECT_EQ(result.err.find('\033'), std::string::npos);
    EXPECT_EQ(result.err.find('\r'), std::string::npos);
  }
}

TEST_F(CommandLine, LoadsAtMost25SharedLibraries) {
  options_.environment["LD_TRACE_LOADED_OBJECTS"] = "1";
  const std::string out = run({"--version"}).out;
  const auto lines = std::count(out.begin(), out.end(), '\n');
  EXPECT_GT(lines, 4) << out;
  EXPECT_LE(lines, 25) << out;
}

}  // namespace
}  // namespace dlm
