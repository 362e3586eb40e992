// Files that grow over several runs, links, and git's names.
#include "support/part_file.h"

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/file_faults.h"
#include "support/git_hash.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(PartFile, GoesOnWhereItEnded) {
  const TemporaryFolder folder;
  const fs::path path = folder / "part";
  {
    PartFile file(path);
    EXPECT_EQ(file.size(), 0u);
    file.write(bytes_of("first "));
  }
  PartFile file(path);
  EXPECT_EQ(file.size(), 6u);
  file.write(bytes_of("second"));
  file.start_writeback();
  file.sync();
  EXPECT_EQ(read_file(path), "first second");
  file.cut(2);
  file.write(bytes_of("x"));
  EXPECT_EQ(read_file(path), "fix");
}

TEST(PartFile, AFullDiskKeepsWhatWasWritten) {
  const TemporaryFolder folder;
  PartFile file(folder / "part");
  file.write(bytes_of("kept"));
  const ScopedFileFault fault(
      [](FileStep step, const fs::path&) { return step == FileStep::kWrite ? ENOSPC : 0; });
  EXPECT_THROW(file.write(bytes_of("more")), Error);
  EXPECT_EQ(file.size(), 4u);
  EXPECT_EQ(read_file(folder / "part"), "kept");
}

TEST(MakeLink, ReplacesWhatIsThere) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "A");
  write_file_atomic(folder / "b", "B");
  make_link("a", folder / "link");
  EXPECT_EQ(read_file(folder / "link"), "A");
  make_link("b", folder / "link");
  EXPECT_EQ(fs::read_symlink(folder / "link"), "b");
  EXPECT_EQ(read_file(folder / "a"), "A");
}

// From `git hash-object`.
TEST(GitBlobHash, NamesFilesAsGitDoes) {
  EXPECT_EQ(GitBlobHash(0).hex(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  GitBlobHash hash(6);
  hash.update(bytes_of("hel"));
  hash.update(bytes_of("lo\n"));
  EXPECT_EQ(hash.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(IsHex, WantsLowerCaseDigitsOfTheRightNumber) {
  EXPECT_TRUE(is_hex("0af9", 4));
  EXPECT_FALSE(is_hex("0af9", 5));
  EXPECT_FALSE(is_hex("0AF9", 4));
}

}  // namespace
}  // namespace dlm
