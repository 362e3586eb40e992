// One holder per store: between our processes by the kernel, beside the Python program by its file.
#include "store/store_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "store_fixture.h"

namespace dlm {
namespace {

std::string host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

class StoreLockTest : public StoreTest {
 protected:
  void leave(const std::string& content) {
    make_folders(store_.root());
    write_file_atomic(store_.exclusive_lock(), content);
  }
  std::string acquire_fault() const {
    return fault([&] { StoreLock::acquire(store_, clock_); });
  }
};

TEST_F(StoreLockTest, WritesThreeLinesAndRemovesThemAtTheEnd) {
  {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    EXPECT_TRUE(lock.guards(store_));
    EXPECT_EQ(read_file(store_.exclusive_lock()),
              fmt::format("{}\n{}\n1776506400.000000000\n", ::getpid(), host()));
  }
  EXPECT_FALSE(fs::exists(store_.exclusive_lock()));
}

TEST_F(StoreLockTest, ASecondHolderIsToldWhoHoldsTheStore) {
  const StoreLock lock = StoreLock::acquire(store_, clock_);
  EXPECT_EQ(acquire_fault(),
            fmt::format("STORE/.lock: the store is in use by process {} on {}, since "
                        "2026-04-18T10:00:00Z",
                        ::getpid(), host()));
  try {
    StoreLock::acquire(store_, clock_);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kLocked);
    EXPECT_EQ(error.hint(), "wait until it is done, or stop it, and run the command again");
  }
}

TEST_F(StoreLockTest, TakesOverWhatAKilledProcessOfOursLeft) {
  const pid_t child = ::fork();
  if (child == 0) {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    ::_exit(0);  // without destructors, as after SIGKILL
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(store_.exclusive_lock()));
  EXPECT_EQ(acquire_fault(), "no error");
  // Even with the number of a living process, or from another host: the kernel lock was free.
  leave(fmt::format("{}\n{}\n9776506400.000000000\n", ::getppid(), host()));
  EXPECT_EQ(acquire_fault(), "no error");
  leave("1\nelsewhere\n1776506400.000000000\n");
  EXPECT_EQ(acquire_fault(), "no error");
}

TEST_F(StoreLockTest, RespectsALivingProcessOfThePythonProgram) {
  const std::string content = fmt::format("{}\n{}\n9776506400.1234567\n", ::getppid(), host());
  leave(content);
  EXPECT_EQ(acquire_fault(),
            fmt::format("STORE/.lock: the store is in use by process {} on {}, since "
                        "2279-10-22T00:13:20Z",
                        ::getppid(), host()));
  EXPECT_EQ(read_file(store_.exclusive_lock()), content);
}

TEST_F(StoreLockTest, TakesOverFromADeadProcessOfThePythonProgram) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  leave(fmt::format("{}\n{}\n1776506400.1234567\n", child, host()));
  EXPECT_EQ(acquire_fault(), "no error");
}

TEST_F(StoreLockTest, KnowsThatALaterProcessWithTheSameNumberIsAnother) {
  leave(fmt::format("{}\n{}\n1000.5\n", ::getppid(), host()));
  EXPECT_EQ(acquire_fault(), "no error");
}

TEST_F(StoreLockTest, LeavesTheFileOfAnotherMachineInPlace) {
  leave("12\nelsewhere\n1776506400.5\n");
  EXPECT_EQ(acquire_fault(),
            "STORE/.lock: the store is in use by process 12 on elsewhere, since "
            "2026-04-18T10:00:00Z");
  try {
    StoreLock::acquire(store_, clock_);
  } catch (const Error& error) {
    EXPECT_EQ(error.hint(), "if nothing runs there any more, delete the lock file");
  }
  EXPECT_EQ(read_file(store_.exclusive_lock()), "12\nelsewhere\n1776506400.5\n");
}

TEST_F(StoreLockTest, TakesOverFilesThatAreCutOff) {
  for (const char* content : {"", "12\n", "12\nelsewhere\n", "x\nelsewhere\n1.5\n",
                              "12\nelsewhere\nlater\n", "12\nelsewhere\nnan\n"}) {
    leave(content);
    EXPECT_EQ(acquire_fault(), "no error") << content;
  }
}

}  // namespace
}  // namespace dlm
