// Source trees from the command line: documents that name them, folders that are trained as they
// are.
#include "cli_fixture.h"

namespace dlm {
namespace {

const std::string kToken = "gh" + std::string("p_q7Zt3Kx9Vb2Nm5Ws8Rd4Yf6Hg1Jc0LpAeUiX");
constexpr const char* kSources = "training:\n  sources:\n    - path: src\n";

class SourcesTest : public CliTest {
 protected:
  void write(const std::string& path, const std::string& text) {
    make_folders((folder_ / path).parent_path());
    write_file_atomic(folder_ / path, text);
  }
  fs::path tree() const { return folder_ / "tree"; }
  fs::path scaffolded() const { return tree() / ".dlm/corpus.dlm"; }
  Json summary(const std::string& id) const {
    for (const auto& entry : fs::directory_iterator(home() / "store" / id / "logs")) {
      if (entry.path().extension() == ".json") return parse_json(read_file(entry.path()));
    }
    return {};
  }
};

TEST_F(SourcesTest, AFolderIsScaffoldedTrainedAndTrainedAgain) {
  write("tree/a.md", "The otter swims.\n");
  write("tree/sub/b.md", "The heron stands.\n");
  write("tree/node_modules/c.md", "c\n");
  const ProgramResult first =
      run({"train", tree().string(), "--base", kTinyBaseKey, "--max-steps", "2"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(shown(first.err).find("scaffolded: HERE/tree/.dlm/corpus.dlm (dlm_id="), 0U);
  EXPECT_NE(first.err.find("source: .: 2 files, 35 B; left out: 1 folder (node_modules)\n"),
            std::string::npos)
      << first.err;
  EXPECT_NE(first.err.find("sft: v0001 (2 steps"), std::string::npos) << first.err;
  const std::string document = read_file(scaffolded());
  const ProgramResult second = run({"train", tree().string(), "--max-steps", "2"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.err.find("scaffolded"), std::string::npos);
  EXPECT_NE(second.err.find("sft: v0002"), std::string::npos) << second.err;
  EXPECT_EQ(read_file(scaffolded()), document);
  // The folder may move.
  fs::rename(tree(), folder_ / "moved");
  EXPECT_EQ(run({"train", (folder_ / "moved").string(), "--dry-run"}).exit_code, 0);
}

TEST_F(SourcesTest, TheRunIsRecordedAndReproduced) {
  write("src/a.md", "The otter swims.\n");
  write("src/leak.py", kToken + "\n");
  write_document(kPairs, kSources);
  const ProgramResult trained = train_shortly();
  EXPECT_EQ(trained.err.find(kToken), std::string::npos);
  EXPECT_NE(trained.err.find("src/leak.py:1: this looks like a GitHub token; the file is left out"),
            std::string::npos)
      << trained.err;
  const Json record = summary(kTestId).at("source_directives").items().at(0);
  EXPECT_EQ(record.at("path").as_string(), "src");
  EXPECT_EQ(record.at("file_count").as_int(), 1);
  EXPECT_EQ(record.at("total_bytes").as_int(), 17);
  EXPECT_EQ(record.at("skipped_secret").as_int(), 1);
  EXPECT_EQ(run({"reproduce", document().string()}).exit_code, 0);
  write("src/a.md", "The otter dives.\n");
  const ProgramResult changed = run({"reproduce", document().string()});
  EXPECT_EQ(changed.exit_code, 1);
  EXPECT_NE(changed.err.find("files of the source src"), std::string::npos) << changed.err;
}

TEST_F(SourcesTest, SecretsThatAreAllowedAreTrained) {
  write("src/leak.py", kToken + "\n");
  write_document("", kSources);
  const ProgramResult none = run({"train", document().string(), "--max-steps", "2"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_NE(none.err.find("no-op"), std::string::npos) << none.err;
  const ProgramResult all =
      run({"train", document().string(), "--max-steps", "2", "--allow-secrets"});
  EXPECT_NE(all.err.find("sft: v0001"), std::string::npos) << all.err;
  EXPECT_EQ(run({"reproduce", document().string()}).exit_code, 0);
}

TEST_F(SourcesTest, ShowCountsWhatSourcesHold) {
  write("src/a.md", "a\n");
  write("src/b.bin", std::string("\0", 1));
  write("src/.dlm/training.yaml", "metadata: {lang: en}\n");
  write_document(kPairs, kSources);
  const ProgramResult text = run({"show", document().string()});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.out.find("source: src: 1 file, 2 B; left out: 1 binary\n"), std::string::npos)
      << text.out;
  const Json json = parse_json(run({"show", document().string(), "--json"}).out);
  const Json source = json.at("training_sources").items().at(0);
  EXPECT_EQ(source.at("path").as_string(), "src");
  EXPECT_EQ(source.at("include").items().at(0).as_string(), "**/*");
  EXPECT_EQ(source.at("file_count").as_int(), 1);
  EXPECT_EQ(source.at("skipped_binary").as_int(), 1);
  EXPECT_EQ(json.at("discovered_training_configs").items().at(0).at("anchor").as_string(), ".");
  EXPECT_FALSE(fs::exists(home()));  // a store is not made for it
}

TEST_F(SourcesTest, ShowTellsASourceThatIsNotThere) {
  write_document(kPairs, kSources);
  const ProgramResult result = run({"show", document().string()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.out.find("source: src: not expanded\n"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("path does not exist"), std::string::npos) << result.err;
}

TEST_F(SourcesTest, RefusesWhatIsWrong) {
  write_document(kPairs, kSources);
  expect_refused({"train", document().string()}, 1,
                 "train: HERE/notes.dlm: training.sources.0: path does not exist: HERE/src\n"
                 "hint: relative paths begin at the folder of the document\n");
  expect_refused({"train", document().string(), "--name", "x"}, 2,
                 "train: HERE/notes.dlm: --include, --exclude, --no-recursive, --name, --policy "
                 "and --rescaffold go with a folder\n"
                 "hint: write training.sources into the document instead\n");
  make_folders(tree());
  expect_refused({"train", tree().string()}, 1,
                 "scaffold: HERE/tree: this is the first run on the folder, which needs a base "
                 "model\nhint: name one: dlm train HERE/tree --base dlm-nano\n");
  EXPECT_EQ(run({"train", tree().string(), "--policy", "loose"}).exit_code, 2);
}

TEST_F(SourcesTest, ASecretInTheDocumentIsAWarning) {
  write_document("Use " + kToken + " here.\n");
  const ProgramResult result = train_shortly();
  EXPECT_NE(shown(result.err).find("HERE/notes.dlm:6: this looks like a GitHub token"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(result.err.find(kToken), std::string::npos);
}

}  // namespace
}  // namespace dlm
