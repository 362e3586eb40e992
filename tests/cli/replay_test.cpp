// dlm replay as a person uses it: a document loses a section, and its history is listed, pruned and
// forgotten.
#include <fmt/format.h>

#include "cli_fixture.h"
#include "store/replay_corpus.h"
#include "support/clock.h"

namespace dlm {
namespace {

constexpr const char* kSecret = "::prose::\nThe secret recipe:\x1B[31m eel\tin   honey.\n";

class ReplayCommand : public CliTest {
 protected:
  // Trained with the secret, which then left the document.
  ReplayCommand() {
    write_document(std::string(kPairs) + kSecret);
    train_shortly();
    write_document(kPairs);
  }
  StoreLayout layout() const { return StoreLayout::at(store()); }
  std::string secret_id() const {
    const ReplayHistory history = ReplayHistory::read(layout());
    for (const ReplayEntry& entry : history.entries()) {
      if (history.snapshot(entry).section_type == "prose") return entry.section_id;
    }
    return "";
  }
  ProgramResult replay(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "replay");
    arguments.insert(arguments.begin() + 2, document().string());
    return run(arguments);
  }
};

TEST_F(ReplayCommand, ListsOneSectionALineWithoutObeyingIt) {
  const ProgramResult result = replay({"list"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::string id = secret_id();
  const size_t at = result.out.find(id);
  ASSERT_NE(at, std::string::npos) << result.out;
  const std::string line = result.out.substr(at, result.out.find('\n', at) - at);
  EXPECT_TRUE(line.starts_with(id + "  prose        deleted  ")) << line;
  EXPECT_TRUE(line.ends_with("    1 run   The secret recipe:[31m eel in honey.")) << line;
  EXPECT_NE(result.out.find("  instruction  in document  "), std::string::npos) << result.out;
  EXPECT_TRUE(result.err.starts_with("history: 2 sections, 1 of them deleted, ")) << result.err;
}

TEST_F(ReplayCommand, ListsAsJson) {
  const ProgramResult result = replay({"list", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const Json json = parse_json(result.out);
  EXPECT_EQ(json.at("dlm_id").as_string(), kTestId);
  EXPECT_EQ(json.at("reclaimable_bytes").as_int(), 0);
  ASSERT_EQ(json.at("sections").size(), 2u);
  for (const Json& section : json.at("sections").items()) {
    const bool is_secret = section.at("section_id").as_string() == secret_id();
    EXPECT_EQ(section.at("in_document").as_bool(), !is_secret);
    EXPECT_EQ(section.at("weight").as_double(), 1.0);
    EXPECT_EQ(section.at("training_runs_seen").items().front().as_int(), 1);
    if (is_secret) {
      EXPECT_EQ(section.at("bytes").as_int(), 39);
    }
  }
}

TEST_F(ReplayCommand, ForgetsASectionAndSaysWhoStillKnowsIt) {
  const std::string id = secret_id();
  const ProgramResult result = replay({"forget", id});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, id + "\n");
  EXPECT_EQ(
      result.err,
      "forgotten: 1 section\n"
      "adapter/versions/v0001: trained on it, and may still know it; its copy of the document "
      "is removed, so it cannot be reproduced any more\n"
      "hint: `dlm train` makes a version that does not know it; the folders of older ones can "
      "be deleted then\n");
  EXPECT_EQ(secret_id(), "");
  EXPECT_FALSE(path_exists(store() / "adapter/versions/v0001/document.dlm"));
  for (const auto& file : fs::recursive_directory_iterator(store())) {
    if (file.is_regular_file()) {
      EXPECT_EQ(read_file(file.path()).find("secret recipe"), std::string::npos) << file.path();
    }
  }
  EXPECT_EQ(run({"prompt", document().string(), "What swims?", "--max-tokens", "2"}).exit_code, 0);
}

TEST_F(ReplayCommand, ForgetsAllThatWasDeleted) {
  const std::string id = secret_id();
  EXPECT_EQ(replay({"forget", "--deleted"}).out, id + "\n");
  EXPECT_EQ(replay({"forget", "--deleted"}).out, "");
}

TEST_F(ReplayCommand, RefusesToForgetWhatItShouldNot) {
  const std::string path = document().string();
  const ReplayHistory history = ReplayHistory::read(layout());
  for (const ReplayEntry& entry : history.entries()) {
    if (entry.section_id == secret_id()) continue;
    const ProgramResult result = replay({"forget", entry.section_id});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(
        shown(result.err),
        "replay: HERE/notes.dlm: section " + entry.section_id +
            " is in the document\n"
            "hint: delete it from the document first: the next training would keep it again\n");
  }
  std::string near = secret_id();
  near[3] = near[3] == 'a' ? 'b' : 'a';
  const ProgramResult typo = replay({"forget", near});
  EXPECT_EQ(typo.exit_code, 1);
  EXPECT_EQ(typo.err, "store: the history has no section \"" + near + "\"\nhint: did you mean " +
                          secret_id() + "?\n");
  const ProgramResult none = replay({"forget"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_EQ(none.err,
            "replay: which sections?\n"
            "hint: name their ids, which `dlm replay list` shows, or give --deleted for all that "
            "are not in the document\n");
  EXPECT_EQ(replay({"forget", secret_id(), "--deleted"}).exit_code, 2);
  EXPECT_NE(secret_id(), "");
}

TEST_F(ReplayCommand, PrunesOnlyWhatTheDocumentDoesNotHave) {
  const std::string id = secret_id();
  const auto before = files_of(store());
  EXPECT_EQ(replay({"prune", "--max-bytes", "1", "--dry-run"}).out, id + "\n");
  EXPECT_EQ(files_of(store()), before);
  EXPECT_EQ(replay({"prune", "--older-than", "1d"}).out, "");
  EXPECT_EQ(secret_id(), id);
  const ProgramResult result = replay({"prune", "--max-bytes", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, id + "\n");
  EXPECT_TRUE(result.err.starts_with("pruned: 1 section;")) << result.err;
  EXPECT_EQ(secret_id(), "");
  EXPECT_EQ(ReplayHistory::read(layout()).entries().size(), 1u);
}

TEST_F(ReplayCommand, PrunesByAge) {
  const std::string id = secret_id();
  write_document(std::string(kPairs) + "More.\n");
  train_shortly();  // its history now says when the secret was last seen
  {
    const StoreLock lock = StoreLock::acquire(layout(), system_clock());
    const ReplayHistory history = ReplayHistory::read(layout());
    ReplaySnapshot old = history.snapshot(*history.find(id));
    old.first_seen_at = old.last_seen_at = system_clock().unix_seconds() - 100 * 86'400;
    append_snapshots(layout(), {old}, lock, {});
  }
  EXPECT_EQ(replay({"prune", "--older-than", "101d"}).out, "");
  EXPECT_EQ(replay({"prune", "--older-than", "99d"}).out, id + "\n");
  const ReplayHistory history = ReplayHistory::read(layout());
  EXPECT_EQ(history.file_bytes(), history.live_bytes());
}

TEST_F(ReplayCommand, SaysWhatIsNoLimit) {
  EXPECT_EQ(replay({"prune", "--older-than", "90"}).err,
            "replay: --older-than \"90\" is not a span of time\n"
            "hint: write a whole number with a unit: 90d, 12h, 30m, 45s\n");
  for (const char* bad : {"d", "-1d", "1.5d", "9999999999d", "99999999999999999999s", "1w", ""}) {
    EXPECT_EQ(replay({"prune", "--older-than", bad}).exit_code, 2) << bad;
  }
  EXPECT_EQ(replay({"prune", "--max-bytes", "few"}).exit_code, 2);
  EXPECT_EQ(run({"replay"}).exit_code, 2);
}

TEST_F(ReplayCommand, WaitsForNobodyWhoHoldsTheStore) {
  const StoreLock lock = StoreLock::acquire(layout(), system_clock());
  const std::string id = secret_id();
  EXPECT_EQ(replay({"forget", id}).exit_code, 1);
  EXPECT_EQ(replay({"prune"}).exit_code, 1);
  EXPECT_EQ(replay({"list"}).exit_code, 0);
  EXPECT_EQ(secret_id(), id);
}

TEST_F(CliTest, ADocumentWithoutAHistoryHasNone) {
  write_document(kPairs);
  const ProgramResult list = run({"replay", "list", document().string()});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_EQ(list.out, "");
  EXPECT_EQ(list.err, "history: 0 sections, 0 of them deleted, 0 B on disk\n");
  EXPECT_EQ(run({"replay", "prune", document().string()}).exit_code, 0);
  expect_refused({"replay", "forget", document().string(), "--deleted"}, 1,
                 "store: HERE/notes.dlm: the document has no history yet\n"
                 "hint: it begins with `dlm train`\n");
  EXPECT_FALSE(path_exists(home()));
}

TEST_F(CliTest, TrainSaysThatHistoryAndFreshExcludeEachOther) {
  write_document(kPairs);
  for (const char* other : {"--fresh", "--resume"}) {
    const ProgramResult result =
        run({"train", document().string(), "--replay-deleted", other, "--dry-run"});
    EXPECT_EQ(result.exit_code, 2) << other;
  }
}

}  // namespace
}  // namespace dlm
