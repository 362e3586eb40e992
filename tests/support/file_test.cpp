// Files: what atomic means when a step fails, what is left behind, and messages that say what to
// do.
#include "support/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/file_faults.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

template <typename Call>
std::string fault(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    return error.message() + (error.hint().empty() ? "" : " | " + error.hint());
  }
  return "no error";
}

size_t num_entries(const fs::path& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++count;
  return count;
}

TEST(File, WritesAndReadsBack) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\r\n", 5);
  write_file_atomic(folder / "x", bytes);
  EXPECT_EQ(read_file(folder / "x"), bytes);
  EXPECT_EQ(num_entries(folder.path()), 1u);
}

TEST(File, NewFilesAreReadableByOthersAndOldModesStay) {
  const TemporaryFolder folder;
  const mode_t old_mask = ::umask(022);
  write_file_atomic(folder / "new", "1");
  write_file_atomic(folder / "old", "1");
  ::chmod((folder / "old").c_str(), 0600);
  write_file_atomic(folder / "old", "2");
  ::umask(old_mask);
  struct stat status {};
  ::stat((folder / "new").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0644u);
  ::stat((folder / "old").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(File, ReplacesTheTargetOfALink) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "real", "1");
  fs::create_symlink("real", folder / "link");
  write_file_atomic(folder / "link", "2");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_file(folder / "real"), "2");
}

TEST(File, LeavesTheOldBytesAndNothingElseWhenAnyStepFails) {
  for (FileStep failing :
       {FileStep::kCreate, FileStep::kWrite, FileStep::kSync, FileStep::kRename}) {
    const TemporaryFolder folder;
    write_file_atomic(folder / "x", "old");
    {
      const ScopedFileFault disk(
          [&](FileStep step, const fs::path&) { return step == failing ? ENOSPC : 0; });
      EXPECT_EQ(
          fault([&] { write_file_atomic(folder / "x", "new"); }),
          "cannot write the file: No space left on device | the disk is full: free some space "
          "and run the command again; nothing was changed");
    }
    EXPECT_EQ(read_file(folder / "x"), "old");
    EXPECT_EQ(num_entries(folder.path()), 1u);
  }
}

TEST(File, SyncsTheFileBeforeTheRenameAndTheFolderAfterIt) {
  const TemporaryFolder folder;
  std::vector<FileStep> steps;
  {
    const ScopedFileFault recorder([&](FileStep step, const fs::path&) {
      steps.push_back(step);
      return 0;
    });
    write_file_atomic(folder / "x", "1");
  }
  EXPECT_EQ(steps, (std::vector<FileStep>{FileStep::kCreate, FileStep::kWrite, FileStep::kSync,
                                          FileStep::kRename, FileStep::kSyncFolder}));
}

TEST(File, AnAtomicFileThatIsNotCommittedLeavesNothing) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "x");
    file.write("half");
    EXPECT_EQ(num_entries(folder.path()), 1u);
  }
  EXPECT_EQ(num_entries(folder.path()), 0u);
}

TEST(File, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  EXPECT_EQ(fault([&] { read_file(folder / "none"); }),
            "cannot read the file: No such file or directory | check the path");
  EXPECT_EQ(fault([&] { read_file(folder.path()); }), "cannot read the file: Is a directory");
  EXPECT_EQ(fault([&] { write_file_atomic(folder / "none" / "x", ""); }),
            "cannot write the file: No such file or directory | check the path");
  EXPECT_EQ(fault([&] { MappedFile::open(folder / "none"); }),
            "cannot read the file: No such file or directory | check the path");
  EXPECT_EQ(fault([&] { write_file_atomic(folder.path(), ""); }),
            "cannot write the file: Is a directory");
}

TEST(File, RefusesFilesLargerThanAsked) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "x", "12345");
  EXPECT_EQ(read_file(folder / "x", 5), "12345");
  EXPECT_EQ(fault([&] { read_file(folder / "x", 4); }), "the file is larger than 4 bytes");
}

TEST(File, MapsFilesAndKeepsTheBytesAfterRemoval) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "x", "mapped");
  write_file_atomic(folder / "empty", "");
  const auto file = MappedFile::open(folder / "x");
  remove_path(folder / "x");
  ASSERT_EQ(file->bytes().size(), 6u);
  EXPECT_EQ(std::to_integer<char>(file->bytes()[0]), 'm');
  EXPECT_TRUE(MappedFile::open(folder / "empty")->bytes().empty());
}

int64_t resident_bytes() {
  const std::string statm = read_file("/proc/self/statm");
  return std::stoll(statm.substr(statm.find(' '))) * sysconf(_SC_PAGESIZE);
}

TEST(File, ReleasedBytesLeaveMemoryAndStayReadable) {
  const TemporaryFolder folder;
  std::string text(8 << 20, 'a');
  for (size_t i = 0; i < text.size(); i += 1000) text[i] = static_cast<char>('a' + i % 26);
  write_file_atomic(folder / "x", text);
  const auto file = MappedFile::open(folder / "x");
  const auto matches = [&] {
    return std::memcmp(file->bytes().data(), text.data(), text.size()) == 0;
  };
  EXPECT_TRUE(matches());
  const int64_t before = resident_bytes();
  file->release(file->bytes().subspan(5));
  EXPECT_LT(resident_bytes(), before - (7 << 20));
  EXPECT_TRUE(matches());
  file->release(file->bytes().subspan(100, 50));  // less than a page: nothing happens
  EXPECT_TRUE(matches());
}

TEST(File, MakesAllMissingFoldersDurable) {
  const TemporaryFolder folder;
  std::vector<std::string> synced;
  {
    const ScopedFileFault recorder([&](FileStep step, const fs::path& path) {
      if (step == FileStep::kSyncFolder) synced.push_back(path.filename().string());
      return 0;
    });
    make_folders(folder / "a" / "b");
    make_folders(folder / "a" / "b");
  }
  EXPECT_TRUE(fs::is_directory(folder / "a" / "b"));
  EXPECT_EQ(synced, (std::vector<std::string>{folder.path().filename().string(), "a"}));
}

TEST(File, AppendsBehindWhatIsKeptAndSyncs) {
  const TemporaryFolder folder;
  const fs::path path = folder / "file";
  std::vector<FileStep> steps;
  const ScopedFileFault recorder([&](FileStep step, const fs::path&) {
    steps.push_back(step);
    return 0;
  });
  append_durably(path, 0, "one");
  EXPECT_EQ(steps.back(), FileStep::kSyncFolder);  // it is new
  append_durably(path, 3, " two");
  EXPECT_EQ(steps.back(), FileStep::kSync);
  EXPECT_EQ(read_file(path), "one two");
  append_durably(path, 4, "three");
  EXPECT_EQ(read_file(path), "one three");
}

TEST(File, ReadsPiecesOfTheFileThatItOpened) {
  const TemporaryFolder folder;
  const fs::path path = folder / "file";
  write_file_atomic(path, "otters swim");
  const ReadFile file(path);
  write_file_atomic(path, "else");
  EXPECT_EQ(file.size(), 11u);
  EXPECT_EQ(file.read_at(7, 4), "swim");
  EXPECT_EQ(file.read_at(11, 0), "");
  EXPECT_THROW(file.read_at(8, 4), Error);
  EXPECT_THROW(file.read_at(UINT64_MAX, 2), Error);
}

TEST(File, RemovesTemporariesOfDeadProcessesOnly) {
  const TemporaryFolder folder;
  const std::string own = std::to_string(::getpid());
  const char* gone = "x.json.tmp.999999999.0123abcd";
  const std::string kept[] = {"x.json.tmp." + own + ".0123abcd", "x.json.tmp.999999999.0123abc",
                              "x.json.tmp.999999999.0123ABCD", "x.json.tmp.12x.0123abcd", "x.json"};
  write_file_atomic(folder / gone, "");
  for (const std::string& name : kept) write_file_atomic(folder / name, "");
  EXPECT_EQ(remove_stale_temporaries(folder.path()), 1u);
  EXPECT_FALSE(fs::exists(folder / gone));
  for (const std::string& name : kept) EXPECT_TRUE(fs::exists(folder / name)) << name;
}

TEST(File, RemovesFoldersWithoutFollowingLinks) {
  const TemporaryFolder folder;
  make_folders(folder / "keep");
  write_file_atomic(folder / "keep" / "x", "1");
  make_folders(folder / "drop");
  fs::create_directory_symlink(folder / "keep", folder / "drop" / "link");
  remove_path(folder / "drop");
  remove_path(folder / "drop");
  EXPECT_FALSE(fs::exists(folder / "drop"));
  EXPECT_TRUE(fs::exists(folder / "keep" / "x"));
}

TEST(File, MeasuresFreeSpaceOfPathsThatDoNotExistYet) {
  const TemporaryFolder folder;
  EXPECT_GT(free_disk_bytes(folder / "not" / "yet"), 0u);
}

}  // namespace
}  // namespace dlm
