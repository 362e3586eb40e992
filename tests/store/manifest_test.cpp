// The manifest's canonical text, its defaults, and exact refusals.
#include "store/manifest.h"

#include "store_fixture.h"

namespace dlm {
namespace {

constexpr const char* kSmall = R"({
  "adapter_config_sha256": null,
  "adapter_sha256": null,
  "adapter_version": 0,
  "adapter_versions": {},
  "base_model": "smollm2-135m",
  "base_model_revision": null,
  "base_model_sha256": null,
  "content_hashes": {},
  "created_at": "2026-04-18T10:00:00",
  "dlm_id": "01KPG0GVBVZZZZZZZZZZZZZZZZ",
  "exports": [],
  "license_acceptance": null,
  "pinned_versions": {},
  "schema_version": 1,
  "source_path": null,
  "training_runs": [],
  "updated_at": "2026-04-18T10:00:00"
}
)";

constexpr const char* kFull = R"({
  "adapter_config_sha256": "cc",
  "adapter_sha256": "aa",
  "adapter_version": 2,
  "adapter_versions": {
    "tone": 3
  },
  "base_model": "hf:org/näme",
  "base_model_revision": "abc",
  "base_model_sha256": "bb",
  "content_hashes": {
    "0123456789abcdef": "0123456789abcdef"
  },
  "created_at": "2026-04-18T10:00:00",
  "dlm_id": "01KPG0GVBVZZZZZZZZZZZZZZZZ",
  "exports": [
    {
      "adapter_gguf_sha256": null,
      "adapter_mix": [
        [
          "tone",
          0.5
        ]
      ],
      "adapter_name": null,
      "base_gguf_sha256": null,
      "exported_at": "2026-04-18T11:00:00",
      "llama_cpp_tag": null,
      "merged": true,
      "ollama_name": "my-model",
      "ollama_version": "0.9.0",
      "quant": "Q4_K_M",
      "smoke_output_first_line": "Hello",
      "target": "ollama"
    }
  ],
  "license_acceptance": {
    "accepted_at": "2026-04-18T10:00:00",
    "license_spdx": "Other",
    "license_url": "https://example.org/l",
    "via": "cli_flag"
  },
  "pinned_versions": {
    "dlm": "0.1.0",
    "torch": null
  },
  "schema_version": 1,
  "source_path": "/home/me/x.dlm",
  "training_runs": [
    {
      "adapter_name": null,
      "adapter_version": 1,
      "base_model_revision": "abc",
      "ended_at": "2026-04-18T10:05:00",
      "final_train_loss": 1.0,
      "final_val_loss": null,
      "pinned_versions": {},
      "run_id": 1,
      "seed": 42,
      "started_at": "2026-04-18T10:00:00",
      "status": "completed",
      "steps": 20,
      "summary_path": "logs/train-000001-20260418T100000.summary.json",
      "weight_distribution": {
        "kind": {
          "a": 3
        }
      }
    }
  ],
  "updated_at": "2026-04-18T11:00:00"
}
)";

Manifest small() {
  Manifest manifest;
  manifest.dlm_id = kTestId;
  manifest.created_at = manifest.updated_at = "2026-04-18T10:00:00";
  manifest.base_model = "smollm2-135m";
  return manifest;
}

std::string refusal(std::string_view text) {
  try {
    parse_manifest(text, "m.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStore);
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
  return "no error";
}

// kSmall with one text replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kSmall;
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Manifest, WritesSortedTextWithDefaults) {
  EXPECT_EQ(manifest_text(small()), kSmall);
}

TEST(Manifest, SavesBackToTheSameBytes) {
  EXPECT_EQ(manifest_text(parse_manifest(kSmall, "m")), kSmall);
  EXPECT_EQ(manifest_text(parse_manifest(kFull, "m")), kFull);
}

TEST(Manifest, ReadsAllFields) {
  const Manifest manifest = parse_manifest(kFull, "m");
  EXPECT_EQ(manifest.base_model, "hf:org/näme");
  EXPECT_EQ(manifest.adapter_versions.at("tone"), 3);
  EXPECT_EQ(manifest.training_runs.at(0).final_train_loss, 1.0);
  EXPECT_EQ(manifest.training_runs.at(0).weight_distribution->at("kind").at("a"), 3);
  EXPECT_EQ(manifest.exports.at(0).adapter_mix->at(0).second, 0.5);
  EXPECT_EQ(manifest.license_acceptance->via, "cli_flag");
  EXPECT_EQ(manifest.pinned_versions.at("torch"), std::nullopt);
  EXPECT_EQ(manifest.next_run_id(), 2);
  EXPECT_EQ(small().next_run_id(), 1);
}

TEST(Manifest, FillsAbsentKeysWithDefaults) {
  const Manifest manifest = parse_manifest(
      R"({"dlm_id":"X","base_model":"b","created_at":"2026-04-18T10:00:00Z",
          "updated_at":"2026-04-18T12:00:00+02:00",
          "training_runs":[{"run_id":4,"started_at":"2026-04-18T10:00:00","adapter_version":1,
                            "seed":-1,"final_train_loss":NaN}],
          "exports":[{"exported_at":"2026-04-18T10:00:00","quant":"Q8_0"}]})",
      "m");
  EXPECT_EQ(manifest.training_runs.at(0).status, "completed");
  EXPECT_EQ(manifest.training_runs.at(0).final_train_loss, std::nullopt);
  EXPECT_EQ(manifest.training_runs.at(0).weight_distribution, std::nullopt);
  EXPECT_EQ(manifest.exports.at(0).target, "ollama");
  EXPECT_EQ(manifest.next_run_id(), 5);
}

TEST(Manifest, SaysWhatIsCorrupt) {
  EXPECT_EQ(
      refusal("{"),
      "m.json:1:2: manifest is corrupt: invalid JSON: syntax error while parsing object key - "
      "unexpected end of input; expected string literal");
  EXPECT_EQ(refusal("[]"), "m.json: manifest is corrupt: the top level: expected an object");
  EXPECT_EQ(refusal(changed("\"dlm_id\"", "\"dlm_ig\"")),
            "m.json: manifest is corrupt: dlm_id: expected a text, found nothing");
  EXPECT_EQ(refusal(changed("\"smollm2-135m\"", "\"\"")),
            "m.json: manifest is corrupt: base_model: expected a text, found \"\"");
  EXPECT_EQ(
      refusal(changed("\"adapter_version\": 0", "\"adapter_version\": -1")),
      "m.json: manifest is corrupt: adapter_version: expected an integer from 0 on, found -1");
  EXPECT_EQ(
      refusal(changed("2026-04-18T10:00:00", "yesterday")),
      "m.json: manifest is corrupt: created_at: expected a date and time, found \"yesterday\"");
  EXPECT_EQ(refusal(changed("\"exports\": []", "\"exports\": {}")),
            "m.json: manifest is corrupt: exports: expected a list, found {}");
  EXPECT_EQ(refusal(changed("\"source_path\": null", "\"source_path\": 1")),
            "m.json: manifest is corrupt: source_path: expected a text or null, found 1");
}

TEST(Manifest, RefusesUnknownKeysAtEveryLevel) {
  EXPECT_EQ(refusal(changed("\"exports\": []", "\"exports\": [], \"extra\": 1")),
            "m.json: manifest is corrupt: extra: unknown key");
  EXPECT_EQ(refusal(changed("\"training_runs\": []",
                            R"("training_runs": [{"run_id":1,"started_at":"2026-04-18T10:00:00",
                               "adapter_version":1,"seed":1,"extra":1}])")),
            "m.json: manifest is corrupt: training_runs[0].extra: unknown key");
  EXPECT_EQ(refusal(changed("\"license_acceptance\": null",
                            R"("license_acceptance": {"accepted_at":"2026-04-18T10:00:00",
                               "license_url":"u","license_spdx":"s","via":"cli_flag","extra":1})")),
            "m.json: manifest is corrupt: license_acceptance.extra: unknown key");
}

TEST(Manifest, RefusesBrokenRuns) {
  const auto with_run = [](const std::string& run) {
    return changed("\"training_runs\": []", "\"training_runs\": [" + run + "]");
  };
  EXPECT_EQ(refusal(with_run("3")),
            "m.json: manifest is corrupt: training_runs[0]: expected an object");
  EXPECT_EQ(refusal(with_run(R"({"run_id":0})")),
            "m.json: manifest is corrupt: training_runs[0].run_id: expected an integer from 1 on, "
            "found 0");
  EXPECT_EQ(refusal(with_run(R"({"run_id":1,"started_at":"2026-04-18T10:00:00",
                                "adapter_version":1,"seed":1,"status":"done"})")),
            "m.json: manifest is corrupt: training_runs[0].status: expected running, completed, "
            "failed or cancelled, found \"done\"");
}

TEST(Manifest, AsksForMigrationFromOtherVersions) {
  EXPECT_EQ(refusal(changed("\"schema_version\": 1", "\"schema_version\": 2")),
            "m.json: schema_version 2 requires migration to 1");
}

TEST_F(StoreTest, ManifestIsWrittenUnderTheLockAndReadBack) {
  const StoreLock lock = StoreLock::acquire(store_, clock_);
  write_manifest(store_, small(), lock);
  EXPECT_EQ(read_file(store_.manifest()), kSmall);
  EXPECT_EQ(read_manifest(store_), small());
  const StoreLayout other(folder_.path(), "01KPG0GVBVZZZZZZZZZZZZZZZ0");
  EXPECT_EQ(fault([&] { write_manifest(other, small(), lock); }),
            "a manifest is written without its store's lock");
}

TEST_F(StoreTest, AMissingManifestIsNamed) {
  EXPECT_EQ(fault([&] { read_manifest(store_); }),
            "STORE/manifest.json: manifest is corrupt: cannot read the file: No such file or "
            "directory");
}

}  // namespace
}  // namespace dlm
