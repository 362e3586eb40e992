// export_manifest.json to the byte, and what a strict reader refuses.
#include "export/manifest.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

constexpr const char* kDigest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

ExportManifest example() {
  ExportManifest m;
  m.target = "llama-server";
  m.quant = "Q4_K_M";
  m.created_at = "2026-04-23T18:42:00";
  m.created_by = "dlm-0.1.0";
  m.base_model_hf_id = "HuggingFaceTB/SmolLM2-135M-Instruct";
  m.base_model_revision = "4c0d2";
  m.adapter_version = 3;
  m.artifacts = {{"base.Q4_K_M.gguf", kDigest, 5}};
  return m;
}

TEST(ExportManifest, HasTheListedFieldsInTheListedOrder) {
  EXPECT_EQ(export_manifest_text(example()), std::string(R"({
  "target": "llama-server",
  "quant": "Q4_K_M",
  "merged": false,
  "dequantized": false,
  "ollama_name": null,
  "created_at": "2026-04-23T18:42:00",
  "created_by": "dlm-0.1.0",
  "llama_cpp_tag": null,
  "base_model_hf_id": "HuggingFaceTB/SmolLM2-135M-Instruct",
  "base_model_revision": "4c0d2",
  "adapter_version": 3,
  "artifacts": [
    {
      "path": "base.Q4_K_M.gguf",
      "sha256": ")") + kDigest + R"(",
      "size_bytes": 5
    }
  ]
}
)");
}

TEST(ExportManifest, ReadsBackAsItWasWritten) {
  EXPECT_EQ(parse_export_manifest(export_manifest_text(example()), "m.json"), example());
}

TEST(ExportManifest, RefusesWhatIsNotListed) {
  const std::string good = export_manifest_text(example());
  const std::pair<const char*, const char*> changes[] = {
      {"\"quant\"", "\"quants\""},
      {"\"merged\": false", "\"merged\": 0"},
      {"\"adapter_version\": 3", "\"adapter_version\": 0"},
      {"\"size_bytes\": 5", "\"size_bytes\": -1"},
      {"base.Q4_K_M.gguf", "../base.gguf"},
      {"base.Q4_K_M.gguf", "/etc/passwd"},
      {kDigest, "2cf2"},
      {"\"artifacts\": [", "\"artifacts\": 1, \"x\": ["}};
  for (const auto& [from, to] : changes) {
    std::string bad = good;
    bad.replace(bad.find(from), std::string(from).size(), to);
    EXPECT_THROW(parse_export_manifest(bad, "m.json"), Error) << to;
  }
}

TEST(ExportManifest, NamesFilesThatAreNotAsTheyWere) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "base.Q4_K_M.gguf", "hello");
  EXPECT_TRUE(check_artifacts(folder.path(), example()).empty());
  write_file_atomic(folder / "base.Q4_K_M.gguf", "hellO");
  EXPECT_EQ(check_artifacts(folder.path(), example()),
            std::vector<std::string>{"base.Q4_K_M.gguf has other content"});
  write_file_atomic(folder / "base.Q4_K_M.gguf", "hello!");
  EXPECT_EQ(check_artifacts(folder.path(), example()),
            std::vector<std::string>{"base.Q4_K_M.gguf has another size"});
  remove_path(folder / "base.Q4_K_M.gguf");
  write_file_atomic(folder / "more", "x");
  EXPECT_EQ(
      check_artifacts(folder.path(), example()),
      (std::vector<std::string>{"base.Q4_K_M.gguf is missing", "more is not in the manifest"}));
}

TEST(ExportManifest, NamesWhatIsNoFileOfItsOwn) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  write_file_atomic(elsewhere / "hello", "hello");
  fs::create_symlink(elsewhere / "hello", folder / "base.Q4_K_M.gguf");
  fs::create_symlink(elsewhere.path(), folder / "more");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(
      check_artifacts(folder.path(), example()),
      (std::vector<std::string>{"base.Q4_K_M.gguf is not a file of its own",
                                "more is not in the manifest", "pipe is not in the manifest"}));
}

}  // namespace
}  // namespace dlm
