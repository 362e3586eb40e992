// Versions are complete or absent, the pointer moves last, and every failing disk step leaves the
// old one.
#include "store/adapter_versions.h"

#include <cerrno>

#include "store_fixture.h"
#include "support/file_faults.h"

namespace dlm {
namespace {

class AdapterVersions : public StoreTest {
 protected:
  fs::path commit(const std::string& content, std::string_view adapter = {}) {
    PendingVersion pending(store_, adapter, lock_);
    write_file_atomic(pending.folder() / "adapter_model.safetensors", content);
    return pending.commit();
  }
  std::vector<std::string> names(std::string_view adapter = {}) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(store_.versions(adapter))) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  StoreLock lock_ = StoreLock::acquire(store_, clock_);
};

TEST_F(AdapterVersions, CommitNamesTheVersionAndMovesThePointer) {
  EXPECT_EQ(current_version(store_), std::nullopt);
  EXPECT_EQ(current_version_number(store_), 0);
  EXPECT_EQ(commit("one"), store_.version(1));
  EXPECT_EQ(read_file(store_.current()), "adapter/versions/v0001\n");
  EXPECT_EQ(commit("two"), store_.version(2));
  EXPECT_EQ(current_version(store_), store_.version(2));
  EXPECT_EQ(read_file(store_.version(1) / "adapter_model.safetensors"), "one");
  EXPECT_EQ(list_versions(store_), (std::vector<int64_t>{1, 2}));
}

TEST_F(AdapterVersions, NamedAdaptersCountForThemselves) {
  commit("flat");
  EXPECT_EQ(commit("t", "tone"), store_.root() / "adapter" / "tone" / "versions" / "v0001");
  EXPECT_EQ(read_file(store_.current("tone")), "adapter/tone/versions/v0001\n");
  EXPECT_EQ(current_version_number(store_, "tone"), 1);
}

TEST_F(AdapterVersions, WhatIsNotCommittedIsNeverListedAndVanishes) {
  commit("one");
  {
    PendingVersion pending(store_, {}, lock_);
    EXPECT_EQ(pending.number(), 2);
    write_file_atomic(pending.folder() / "x", "half");
    EXPECT_EQ(list_versions(store_), std::vector<int64_t>{1});
  }
  EXPECT_EQ(names(), std::vector<std::string>{"v0001"});
  EXPECT_EQ(current_version_number(store_), 1);
}

TEST_F(AdapterVersions, RejectedVersionsAreKeptBesideTheirNumber) {
  for (const char* name : {"v0001-rejected", "v0001-rejected-1", "v0001-rejected-2"}) {
    PendingVersion pending(store_, {}, lock_);
    write_file_atomic(pending.folder() / "x", name);
    EXPECT_EQ(pending.reject(), store_.versions() / name);
  }
  EXPECT_TRUE(list_versions(store_).empty());
  EXPECT_EQ(current_version(store_), std::nullopt);
  EXPECT_EQ(commit("one"), store_.version(1));
}

TEST_F(AdapterVersions, ForeignNamesDoNotCount) {
  for (const char* name : {"v0003", "v12345", "v0007-rejected", "vx", "v", "v-1", "V9", "v1e3"}) {
    make_folders(store_.versions() / name);
  }
  write_file_atomic(store_.versions() / "v99999", "a file");
  EXPECT_EQ(list_versions(store_), (std::vector<int64_t>{3, 12345}));
  EXPECT_EQ(commit("x"), store_.version(12346));
}

TEST_F(AdapterVersions, ReadsBothFormsOfThePointer) {
  commit("one");
  commit("t", "tone");
  write_file_atomic(store_.current(), "versions/v0001");
  EXPECT_EQ(current_version(store_), store_.version(1));
  write_file_atomic(store_.current(), "  adapter/versions/v0001\r\n");
  EXPECT_EQ(current_version(store_), store_.version(1));
  write_file_atomic(store_.current("tone"), "versions/v0001\n");
  EXPECT_EQ(current_version(store_, "tone"), store_.version(1, "tone"));
  write_file_atomic(store_.current(), " \n");
  EXPECT_EQ(current_version(store_), std::nullopt);
}

TEST_F(AdapterVersions, RefusesPointersThatLeaveTheStore) {
  commit("one");
  fs::create_directory_symlink("/", store_.root() / "out");
  for (const char* target : {"../x", "/etc", "adapter/../../x", ".", "out/etc", "versions/../.."}) {
    write_file_atomic(store_.current(), target);
    EXPECT_EQ(fault([&] { read_pointer(store_); }),
              std::string("STORE/adapter/current.txt: \"") + target + "\" leads out of the store");
  }
  write_file_atomic(store_.current(), "a\nb");
  EXPECT_EQ(fault([&] { read_pointer(store_); }), "STORE/adapter/current.txt: \"a\nb\" is no path");
}

TEST_F(AdapterVersions, SaysThatTheCurrentVersionIsGone) {
  write_file_atomic((make_folders(store_.adapter()), store_.current()), "adapter/versions/v0007\n");
  EXPECT_EQ(read_pointer(store_), store_.version(7));
  EXPECT_EQ(fault([&] { current_version(store_); }),
            "STORE/adapter/current.txt: the current version adapter/versions/v0007 does not exist");
}

TEST_F(AdapterVersions, AnOlderVersionCanBecomeCurrentAgain) {
  commit("one");
  commit("two");
  set_current_version(store_, 1, {}, lock_);
  EXPECT_EQ(current_version_number(store_), 1);
  EXPECT_EQ(fault([&] { set_current_version(store_, 3, {}, lock_); }),
            "STORE/adapter/versions: there is no version v0003");
  EXPECT_EQ(commit("three"), store_.version(3));
}

TEST_F(AdapterVersions, EverythingIsDurableBeforeThePointerMoves) {
  PendingVersion pending(store_, {}, lock_);
  make_folders(pending.folder() / "sub");
  write_file_atomic(pending.folder() / "a", "1");
  write_file_atomic(pending.folder() / "sub" / "b", "2");
  std::vector<std::string> steps;
  {
    const ScopedFileFault recorder([&](FileStep step, const fs::path& path) {
      constexpr const char* kNames[] = {"create", "write",  "sync",  "sync folder",
                                        "rename", "folder", "remove"};
      steps.push_back(std::string(kNames[static_cast<int>(step)]) + " " + store_.relative(path));
      return 0;
    });
    pending.commit();
  }
  EXPECT_EQ(
      steps,
      (std::vector<std::string>{
          "sync adapter/versions/.pending-v0001/a", "sync adapter/versions/.pending-v0001/sub/b",
          "sync folder adapter/versions/.pending-v0001/sub",
          "sync folder adapter/versions/.pending-v0001", "rename adapter/versions/.pending-v0001",
          "sync folder adapter/versions", "create adapter/current.txt", "write adapter/current.txt",
          "sync adapter/current.txt", "rename adapter/current.txt", "sync folder adapter"}));
}

// Each disk step of a commit fails once with each of three errors: the old version stays current
// and the next commit works.
TEST_F(AdapterVersions, EveryFailingStepLeavesTheOldVersionCurrent) {
  commit("one");
  for (int code : {ENOSPC, EIO, EROFS}) {
    for (int failing = 0;; ++failing) {
      int count = 0;
      bool failed = false;
      {
        const ScopedFileFault disk(
            [&](FileStep, const fs::path&) { return count++ == failing ? code : 0; });
        try {
          commit("new");
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kIo);
          failed = true;
        }
      }
      if (!failed) break;
      const fs::path current = current_version(store_).value();
      const std::string content = read_file(current / "adapter_model.safetensors");
      const bool is_last_step = current != store_.version(1);
      // Only the sync after the pointer's rename may fail with the new version in place.
      EXPECT_EQ(content, is_last_step ? "new" : "one");
      remove_leftovers(store_, lock_);
      for (int64_t number : list_versions(store_)) {
        EXPECT_TRUE(fs::exists(store_.version(number) / "adapter_model.safetensors"));
      }
      set_current_version(store_, 1, {}, lock_);
      ASSERT_LT(failing, 100);
    }
    set_current_version(store_, 1, {}, lock_);
  }
}

TEST_F(AdapterVersions, LeftoversOfKilledRunsAreRemoved) {
  commit("one");
  commit("t", "tone");
  make_folders(store_.versions() / ".pending-v0002" / "sub");
  make_folders(store_.versions("tone") / ".pending-v0009");
  write_file_atomic(store_.root() / "manifest.json.tmp.999999999.0123abcd", "");
  write_file_atomic(store_.adapter() / "current.txt.tmp.999999999.0123abcd", "");
  make_folders(store_.replay());
  write_file_atomic(store_.replay() / "index.json.tmp.999999999.0123abcd", "");
  EXPECT_EQ(remove_leftovers(store_, lock_), 5u);
  EXPECT_EQ(remove_leftovers(store_, lock_), 0u);
  EXPECT_EQ(names(), std::vector<std::string>{"v0001"});
  EXPECT_EQ(names("tone"), std::vector<std::string>{"v0001"});
}

}  // namespace
}  // namespace dlm
