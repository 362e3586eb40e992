// Paths of home and store, and the ids and names that may become part of one.
#include "store/store_layout.h"

#include "store_fixture.h"

namespace dlm {
namespace {

Environment environment_of(const char* dlm_home, const char* user_home) {
  return [=](const char* name) -> const char* {
    if (std::string_view(name) == "DLM_HOME") return dlm_home;
    if (std::string_view(name) == "HOME") return user_home;
    return nullptr;
  };
}

TEST(StoreHome, IsExplicitThenVariableThenUserHome) {
  EXPECT_EQ(dlm_home("/a/b/../c", environment_of("/v", "/u")), "/a/c");
  EXPECT_EQ(dlm_home(std::nullopt, environment_of("/v", "/u")), "/v");
  EXPECT_EQ(dlm_home(std::nullopt, environment_of("", "/u")), "/u/.dlm");
  EXPECT_EQ(dlm_home(std::nullopt, environment_of(nullptr, "/u")), "/u/.dlm");
  EXPECT_EQ(dlm_home(fs::path("~/x"), environment_of(nullptr, "/u")), "/u/x");
  EXPECT_EQ(dlm_home(std::nullopt, environment_of("~", "/u")), "/u/");
  EXPECT_EQ(dlm_home(fs::path("rel"), environment_of(nullptr, "/u")), fs::current_path() / "rel");
}

TEST(StoreHome, NeedsAUserHomeOnlyForTheDefault) {
  EXPECT_EQ(dlm_home(fs::path("/x"), environment_of(nullptr, nullptr)), "/x");
  try {
    dlm_home(std::nullopt, environment_of(nullptr, ""));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_EQ(error.message(), "the home folder is not known: $HOME is not set");
    EXPECT_EQ(error.hint(), "pass --home FOLDER or set DLM_HOME");
  }
}

TEST(StoreLayout, NamesItsFiles) {
  const StoreLayout store("/h", kTestId);
  const std::string root = std::string("/h/store/") + kTestId;
  EXPECT_EQ(store.root(), root);
  EXPECT_EQ(store.manifest(), root + "/manifest.json");
  EXPECT_EQ(store.exclusive_lock(), root + "/.lock");
  EXPECT_EQ(store.dlm_lock(), root + "/dlm.lock");
  EXPECT_EQ(store.current(), root + "/adapter/current.txt");
  EXPECT_EQ(store.version(1), root + "/adapter/versions/v0001");
  EXPECT_EQ(store.version(12345, "tone"), root + "/adapter/tone/versions/v12345");
  EXPECT_EQ(store.current("tone"), root + "/adapter/tone/current.txt");
  EXPECT_EQ(store.exports("Q4_K_M"), root + "/exports/Q4_K_M");
  EXPECT_EQ(store.replay_corpus(), root + "/replay/corpus.zst");
  EXPECT_EQ(store.replay_index(), root + "/replay/index.json");
  EXPECT_EQ(store.tokenized_cache(), root + "/tokenized-cache");
  EXPECT_EQ(store.run_log(3, 1'776'506'400), root + "/logs/train-000003-20260418T100000.jsonl");
  EXPECT_EQ(store.run_summary(3, 1'776'506'400),
            root + "/logs/train-000003-20260418T100000.summary.json");
  EXPECT_EQ(store.relative(store.run_log(3, 0)), "logs/train-000003-19700101T000000.jsonl");
  EXPECT_EQ(store.relative("/elsewhere/x"), "/elsewhere/x");
}

TEST(StoreLayout, RefusesIdsAndNamesThatLeadElsewhere) {
  for (const char* id : {"", "..", "../../../../../../../../..", "01KPG0GVBVZZZZZZZZZZZZZZZ",
                         "01kpg0gvbvzzzzzzzzzzzzzzzz", "01KPG0GVBVZZZZZZZZZZZZZZZI"}) {
    EXPECT_THROW(StoreLayout("/h", id), Error) << id;
  }
  const StoreLayout store("/h", kTestId);
  for (const char* name : {"..", "a/b", "A", "1a", "a-b", "versions", "current.txt",
                           "a2345678901234567890123456789012x"}) {
    EXPECT_THROW(store.adapter(name), Error) << name;
  }
  EXPECT_NO_THROW(store.adapter("a2345678901234567890123456789012"));
  EXPECT_THROW(store.version(0), Error);
  EXPECT_THROW(store.exports("../x"), Error);
}

TEST_F(StoreTest, EnsureMakesTheFoldersOnce) {
  EXPECT_FALSE(store_.is_initialized());
  store_.ensure();
  store_.ensure();
  EXPECT_TRUE(fs::is_directory(store_.versions()));
  EXPECT_TRUE(fs::is_directory(store_.logs()));
  EXPECT_FALSE(store_.is_initialized());
  write_file_atomic(store_.manifest(), "{}");
  EXPECT_TRUE(store_.is_initialized());
}

}  // namespace
}  // namespace dlm
