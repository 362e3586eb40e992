// Exclusive locks between descriptors and between processes, also after a death without clean-up.
#include "support/file_lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/file.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

TEST(FileLock, IsHeldByOneDescriptorAtATime) {
  const TemporaryFolder folder;
  auto first = FileLock::try_acquire(folder / ".lock");
  ASSERT_TRUE(first);
  first->write("mine\n");
  EXPECT_FALSE(FileLock::try_acquire(folder / ".lock"));
  EXPECT_EQ(read_lock_content(folder / ".lock"), "mine\n");
  first.reset();
  EXPECT_FALSE(fs::exists(folder / ".lock"));
  EXPECT_TRUE(FileLock::try_acquire(folder / ".lock"));
}

TEST(FileLock, ReplacesContentThatWasLonger) {
  const TemporaryFolder folder;
  auto lock = FileLock::try_acquire(folder / ".lock");
  lock->write("a long content\n");
  lock->write("short\n");
  EXPECT_EQ(read_lock_content(folder / ".lock"), "short\n");
}

TEST(FileLock, TellsWhatWasLeftInTheFile) {
  const TemporaryFolder folder;
  write_file_atomic(folder / ".lock", "12\nhost\n1.5\n");
  auto lock = FileLock::try_acquire(folder / ".lock");
  ASSERT_TRUE(lock);
  EXPECT_EQ(lock->found_content(), "12\nhost\n1.5\n");
}

TEST(FileLock, AbandonedFilesStay) {
  const TemporaryFolder folder;
  write_file_atomic(folder / ".lock", "theirs");
  auto lock = FileLock::try_acquire(folder / ".lock");
  lock->abandon();
  lock.reset();
  EXPECT_EQ(read_file(folder / ".lock"), "theirs");
  EXPECT_THROW(
      {
        auto again = FileLock::try_acquire(folder / ".lock");
        again->abandon();
        again->write("x");
      },
      Error);
}

TEST(FileLock, MovesWithItsOwner) {
  const TemporaryFolder folder;
  auto first = FileLock::try_acquire(folder / "a");
  auto second = FileLock::try_acquire(folder / "b");
  *second = std::move(*first);
  EXPECT_FALSE(fs::exists(folder / "b"));
  EXPECT_FALSE(FileLock::try_acquire(folder / "a"));
  first.reset();
  EXPECT_TRUE(fs::exists(folder / "a"));
}

TEST(FileLock, EndsWithAKilledProcess) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto lock = FileLock::try_acquire(folder / ".lock");
    lock->write("child\n");
    static_cast<void>(!::write(ready[1], "x", 1));
    ::pause();
    ::_exit(1);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(FileLock::try_acquire(folder / ".lock"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  auto lock = FileLock::try_acquire(folder / ".lock");
  ASSERT_TRUE(lock);
  EXPECT_EQ(lock->found_content(), "child\n");
  ::close(ready[0]);
  ::close(ready[1]);
}

// Four processes take and release the lock and count in a file without any other protection; a lost
// count means that two of them held the lock at once.
TEST(FileLock, ExcludesProcessesThatTakeAndRemoveItAllTheTime) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "count", "0");
  constexpr int kProcesses = 4, kRounds = 100;
  for (int i = 0; i < kProcesses; ++i) {
    if (::fork() != 0) continue;
    for (int round = 0; round < kRounds;) {
      auto lock = FileLock::try_acquire(folder / ".lock");
      if (!lock) continue;
      const int count = std::stoi(read_file(folder / "count"));
      write_file_atomic(folder / "count", std::to_string(count + 1));
      ++round;
    }
    ::_exit(0);
  }
  for (int i = 0; i < kProcesses; ++i) {
    int status = 1;
    ::wait(&status);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(read_file(folder / "count"), std::to_string(kProcesses * kRounds));
}

TEST(FileLock, RefusesLinksAndMissingFolders) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "victim", "keep");
  fs::create_symlink(folder / "victim", folder / ".lock");
  EXPECT_THROW(FileLock::try_acquire(folder / ".lock"), Error);
  EXPECT_THROW(FileLock::try_acquire(folder / "none" / ".lock"), Error);
  EXPECT_EQ(read_file(folder / "victim"), "keep");
  EXPECT_EQ(read_lock_content(folder / ".lock"), "");
}

}  // namespace
}  // namespace dlm
