// What `dlm show` learns of a store.
#include "store/inspection.h"

#include "store/adapter_versions.h"
#include "store_fixture.h"

namespace dlm {
namespace {

class Inspection : public StoreTest {
 protected:
  void SetUp() override {
    manifest_.dlm_id = kTestId;
    manifest_.base_model = "base";
    manifest_.created_at = manifest_.updated_at = "2026-04-18T10:00:00";
    save();
  }
  void save() {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    write_manifest(store_, manifest_, lock);
  }
  void commit(std::string_view adapter) {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    PendingVersion pending(store_, adapter, lock);
    write_file_atomic(pending.folder() / "x", "12345");
    pending.commit();
  }
  StoreInspection inspect(std::optional<fs::path> source = {}) const {
    return inspect_store(store_, source, [](const fs::path& path) -> std::optional<std::string> {
      if (path == "mine.dlm") return kTestId;
      if (path == "other.dlm") return "01KPG0GVBVZZZZZZZZZZZZZZZ0";
      return std::nullopt;
    });
  }
  Manifest manifest_;
};

TEST_F(Inspection, OfAFreshStore) {
  const StoreInspection result = inspect();
  EXPECT_EQ(result.dlm_id, kTestId);
  EXPECT_EQ(result.path, store_.root());
  EXPECT_EQ(result.training_runs, 0);
  EXPECT_EQ(result.last_trained_at, std::nullopt);
  EXPECT_FALSE(result.has_adapter_current);
  EXPECT_FALSE(result.orphaned);
  EXPECT_TRUE(result.named_adapters.empty());
  EXPECT_EQ(result.total_size_bytes, read_file(store_.manifest()).size());
}

TEST_F(Inspection, SumsSizesAndFindsTheLatestRun) {
  commit({});
  commit("tone");
  commit("tone");
  make_folders(store_.adapter("draft") / "versions");
  make_folders(store_.replay());
  write_file_atomic(store_.replay_corpus(), "123");
  fs::create_symlink("/etc/passwd", store_.root() / "link");
  TrainingRun run;
  run.started_at = "2026-04-18T10:00:00";
  run.ended_at = "2026-04-19T08:00:00+02:00";
  manifest_.training_runs = {run, run};
  manifest_.training_runs[1].ended_at = "2026-04-18T23:00:00";
  manifest_.adapter_version = 1;
  save();
  const StoreInspection result = inspect();
  EXPECT_EQ(result.training_runs, 2);
  EXPECT_EQ(result.last_trained_at, "2026-04-19 06:00:00");
  EXPECT_TRUE(result.has_adapter_current);
  EXPECT_EQ(result.replay_size_bytes, 3u);
  EXPECT_EQ(result.total_size_bytes, read_file(store_.manifest()).size() + 3 + 3 * 5 +
                                         std::string("adapter/versions/v0001\n").size() +
                                         std::string("adapter/tone/versions/v0002\n").size());
  ASSERT_EQ(result.named_adapters.size(), 2u);
  EXPECT_EQ(result.named_adapters[0].name, "draft");
  EXPECT_FALSE(result.named_adapters[0].has_current);
  EXPECT_EQ(result.named_adapters[0].latest_version, 0);
  EXPECT_EQ(result.named_adapters[1].name, "tone");
  EXPECT_EQ(result.named_adapters[1].latest_version, 2);
}

TEST_F(Inspection, KnowsOrphans) {
  EXPECT_FALSE(inspect("mine.dlm").orphaned);
  EXPECT_TRUE(inspect("other.dlm").orphaned);
  EXPECT_TRUE(inspect("missing.dlm").orphaned);
  manifest_.source_path = "missing.dlm";
  save();
  EXPECT_TRUE(inspect().orphaned);
  EXPECT_FALSE(inspect("mine.dlm").orphaned);
  EXPECT_EQ(inspect("mine.dlm").source_path, "mine.dlm");
}

TEST_F(Inspection, AsJson) {
  commit("tone");
  std::string text = inspection_json(inspect("mine.dlm")).dump();
  const std::string root = store_.root().string();
  text.replace(text.find(root), root.size(), "STORE");
  const std::string size = std::to_string(inspect().total_size_bytes);
  EXPECT_EQ(text, R"({"dlm_id":"01KPG0GVBVZZZZZZZZZZZZZZZZ","path":"STORE","base_model":"base",)"
                  R"("base_model_revision":null,"adapter_version":0,"training_runs":0,)"
                  R"("last_trained_at":null,"exports":[],"has_adapter_current":false,)"
                  R"("replay_size_bytes":0,"total_size_bytes":)" +
                      size +
                      R"(,"source_path":"mine.dlm","orphaned":false,"content_hashes":{},)"
                      R"("pinned_versions":{},"named_adapters":[{"name":"tone","has_current":true,)"
                      R"("latest_version":1}]})");
}

TEST_F(Inspection, FailsOnACorruptManifest) {
  write_file_atomic(store_.manifest(), "{}");
  EXPECT_EQ(fault([&] { inspect(); }),
            "STORE/manifest.json: manifest is corrupt: dlm_id: expected a text, found nothing");
}

}  // namespace
}  // namespace dlm
