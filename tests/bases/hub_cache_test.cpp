// The layout of the cache: refs, links, and removal that spares what others need.
#include "bases/hub_cache.h"

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/file_lock.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

class HubCacheTest : public ::testing::Test {
 protected:
  void add(const std::string& commit, const std::string& file, const std::string& digest) {
    make_folders(cache_.blobs());
    write_file_atomic(cache_.blob(digest), "bytes of " + digest);
    cache_.link(commit, file, digest);
  }

  const std::string first_ = std::string(40, 'a'), second_ = std::string(40, 'b');
  TemporaryFolder folder_;
  HubCache cache_{folder_.path(), "org/name"};
};

TEST_F(HubCacheTest, LinksAreRelativeAtAnyDepth) {
  add(first_, "config.json", "d1");
  add(first_, "onnx/deep/model.json", "d2");
  const fs::path snapshot = folder_ / "models--org--name/snapshots" / first_;
  EXPECT_EQ(fs::read_symlink(snapshot / "config.json"), "../../blobs/d1");
  EXPECT_EQ(read_file(snapshot / "onnx/deep/model.json"), "bytes of d2");
  EXPECT_EQ(cache_.digest_of(snapshot / "config.json"), "d1");
  write_file_atomic(snapshot / "plain", "x");
  EXPECT_EQ(cache_.digest_of(snapshot / "plain"), "");
}

TEST_F(HubCacheTest, RefsSayCommits) {
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
  cache_.write_ref("main", first_);
  cache_.write_ref("refs/pr/1", first_);
  EXPECT_EQ(cache_.commit_of("main"), first_);
  EXPECT_EQ(cache_.refs_to(first_), (std::vector<std::string>{"main", "refs/pr/1"}));
  EXPECT_EQ(cache_.commit_of(second_), second_);
  write_file_atomic(cache_.folder() / "refs/main", "../../elsewhere");
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
}

TEST_F(HubCacheTest, RemovingASnapshotKeepsWhatOthersShare) {
  add(first_, "shared", "d1");
  add(first_, "own", "d2");
  add(second_, "shared", "d1");
  cache_.write_ref("main", first_);
  cache_.mark_absent(first_, "vocab.json");
  EXPECT_EQ(cache_.remove(first_), std::string("bytes of d2").size());
  EXPECT_TRUE(path_exists(cache_.blob("d1")));
  EXPECT_FALSE(path_exists(cache_.blob("d2")));
  EXPECT_FALSE(path_exists(cache_.folder() / "refs/main"));
  EXPECT_FALSE(path_exists(cache_.absences(first_)));
  EXPECT_EQ(cache_.commits(), std::vector<std::string>{second_});
  write_file_atomic(cache_.part("d3"), "left of a download");
  cache_.remove(second_);
  EXPECT_FALSE(path_exists(cache_.folder()));
}

TEST_F(HubCacheTest, RemovesNothingThatIsBeingFetched) {
  add(first_, "own", "d2");
  make_folders(cache_.lock_folder());
  const auto held = FileLock::try_acquire(cache_.lock("d2"));
  ASSERT_TRUE(held);
  EXPECT_THROW(cache_.remove(first_), Error);
  EXPECT_TRUE(path_exists(cache_.blob("d2")));
}

TEST_F(HubCacheTest, KnowsTheRepositoriesOfACache) {
  for (const char* name :
       {"models--a--b", "models--a-b--c.d", "datasets--a--b", ".locks", "models--x"}) {
    fs::create_directories(folder_ / name);
  }
  EXPECT_EQ(cached_repositories(folder_.path()), (std::vector<std::string>{"a/b", "a-b/c.d"}));
  EXPECT_TRUE(cached_repositories(folder_ / "absent").empty());
}

}  // namespace
}  // namespace dlm
