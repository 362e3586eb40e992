// dlm migrate: the file, its backup and mode, and when nothing is written.
#include <sys/stat.h>

#include "cli_fixture.h"

namespace dlm {
namespace {

class MigrateCommand : public CliTest {
 protected:
  static constexpr const char* kTail = "# mine\nbase_model: tiny\n---\n\n\nText.\n\n";
  void write_version(const std::string& version) {
    write_file_atomic(document(), "---\ndlm_id: " + std::string(kTestId) +
                                      "\ndlm_version: " + version + "\n" + kTail);
  }
};

TEST_F(MigrateCommand, RewritesTheFileAndKeepsABackup) {
  write_version("13");
  const std::string before = read_file(document());
  ASSERT_EQ(::chmod(document().c_str(), 0600), 0);
  const ProgramResult result = run({"migrate", document().string()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(shown(result.err),
            "backup: HERE/notes.dlm.bak\nmigrated: HERE/notes.dlm: v13 → v14 → v15\n");
  EXPECT_EQ(read_file(folder_ / "notes.dlm.bak"), before);
  std::string expected = before;
  expected.replace(expected.find("13"), 2, "15");
  EXPECT_EQ(read_file(document()), expected);
  for (const char* name : {"notes.dlm", "notes.dlm.bak"}) {
    struct stat status {};
    ASSERT_EQ(::stat((folder_ / name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
  // Once more: nothing is left to do.
  const auto files = files_of(folder_.path());
  EXPECT_EQ(shown(run({"migrate", document().string()}).err),
            "migrate: HERE/notes.dlm is at v15 already\n");
  EXPECT_EQ(files_of(folder_.path()), files);
}

TEST_F(MigrateCommand, ADryRunWritesNothing) {
  write_version("14");
  expect_refused({"migrate", document().string(), "--dry-run"}, 0,
                 "dry-run: would migrate HERE/notes.dlm: v14 → v15\n");
}

TEST_F(MigrateCommand, GoesWithoutABackupWhenTold) {
  write_version("14");
  EXPECT_EQ(run({"migrate", document().string(), "--no-backup"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "notes.dlm.bak"));
}

TEST_F(MigrateCommand, StopsWhereTheBackupCannotBeWritten) {
  write_version("14");
  fs::create_directory(folder_ / "notes.dlm.bak");
  const ProgramResult result = run({"migrate", document().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("notes.dlm.bak: cannot write the backup: "), result.err.npos);
  EXPECT_NE(read_file(document()).find("dlm_version: 14"), std::string::npos);
}

TEST_F(MigrateCommand, RefusesDocumentsWithMistakes) {
  write_version("16");
  expect_refused(
      {"migrate", document().string()}, 1,
      "parse: HERE/notes.dlm:3:14: dlm_version 16 is newer than this parser, which knows "
      "versions up to 15\nhint: a newer dlm wrote this document: update dlm, or check the "
      "number\n");
  expect_refused({"migrate", (folder_ / "no.dlm").string()}, 1,
                 "migrate: HERE/no.dlm: cannot read the file: No such file or directory\nhint: "
                 "check the path\n");
}

}  // namespace
}  // namespace dlm
