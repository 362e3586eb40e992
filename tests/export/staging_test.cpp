// Exports that are killed, at every step that changes the disk: what is under the export's name is
// whole, the old one or the new one, and the next export goes through.
#include "export/staging.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "export/manifest.h"
#include "support/error.h"
#include "support/file_faults.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

constexpr const char* kId = "01KPG0GVBVZZZZZZZZZZZZZZZZ";

class Staging : public ::testing::Test {
 protected:
  Staging() : store_(folder_.path(), kId) {}

  // An export whose two files and manifest all say `what`.
  void run_once(const std::string& what) {
    const StoreLock lock = StoreLock::acquire(store_, system_clock());
    StagedExport staged(store_, "Q8_0", lock);
    write_file_atomic(staged.folder() / "base.Q8_0.gguf", what);
    write_file_atomic(staged.folder() / "Modelfile", what);
    ExportManifest manifest;
    manifest.quant = what;
    manifest.artifacts = list_artifacts(staged.folder());
    write_file_atomic(staged.folder() / kExportManifestFile, export_manifest_text(manifest));
    staged.publish();
  }

  fs::path target() const { return store_.root() / "exports" / "Q8_0"; }

  // What the export under its name says; "" when there is none. It must be whole.
  std::string read_whole() {
    if (!path_exists(target())) return "";
    const fs::path path = target() / kExportManifestFile;
    const ExportManifest manifest = parse_export_manifest(read_file(path), path);
    EXPECT_EQ(check_artifacts(target(), manifest), std::vector<std::string>{});
    EXPECT_EQ(read_file(target() / "Modelfile"), manifest.quant);
    return manifest.quant;
  }

  TemporaryFolder folder_;
  StoreLayout store_;
};

TEST_F(Staging, ReplacesAnExportWhole) {
  run_once("old");
  EXPECT_EQ(read_whole(), "old");
  run_once("new");
  EXPECT_EQ(read_whole(), "new");
}

TEST_F(Staging, KilledAtEveryDiskStepLeavesTheOldOrTheNew) {
  int num_killed = 0;
  for (int fatal = 0;; ++fatal) {
    run_once("old");
    const pid_t child = ::fork();
    if (child == 0) {
      int count = 0;
      const ScopedFileFault killer([&](FileStep, const fs::path&) {
        if (count++ == fatal) ::raise(SIGKILL);
        return 0;
      });
      try {
        run_once("new");
      } catch (const std::exception&) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const std::string found = read_whole();
    EXPECT_TRUE(found == "old" || found == "new") << found;
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      EXPECT_EQ(found, "new");
      break;
    }
    ++num_killed;
    ASSERT_LT(num_killed, 200);
  }
  EXPECT_GT(num_killed, 10);
}

TEST_F(Staging, RemovesWhatKilledExportsLeft) {
  const fs::path exports = store_.root() / "exports";
  make_folders(exports / ".staged-Q8_0");
  write_file_atomic(exports / ".staged-Q8_0" / "base.Q8_0.gguf", "half");
  run_once("new");
  EXPECT_EQ(read_whole(), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(exports), fs::directory_iterator()), 1);
}

// A file system that cannot exchange folders was killed between its two moves.
TEST_F(Staging, BringsBackAnExportThatWasMovedAside) {
  run_once("old");
  fs::rename(target(), store_.root() / "exports" / ".old-Q8_0");
  const StoreLock lock = StoreLock::acquire(store_, system_clock());
  const StagedExport other(store_, "F16", lock);
  EXPECT_EQ(read_whole(), "old");
}

TEST_F(Staging, LeavesNothingWhenTheDiskIsFull) {
  run_once("old");
  const ScopedFileFault full(
      [](FileStep step, const fs::path&) { return step == FileStep::kWrite ? ENOSPC : 0; });
  EXPECT_THROW(run_once("new"), Error);
  EXPECT_EQ(read_whole(), "old");
  EXPECT_EQ(
      std::distance(fs::directory_iterator(store_.root() / "exports"), fs::directory_iterator()),
      1);
}

}  // namespace
}  // namespace dlm
