// Rewriting older documents: what is edited, what stays byte for byte, and when the frontmatter is
// written anew.
#include "doc/migrate_text.h"

#include <gtest/gtest.h>

#include "corpus_fixture.h"
#include "doc/document.h"
#include "doc/migrate.h"
#include "refusal.h"

namespace dlm {
namespace {

const std::string kId = "dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\n";
const std::string kBody = "---\n\n\n# Title \n\n::instruction::\n### Q\nq\n### A\na\n\n\n";

std::string migrated(const std::string& text, bool kept_comments = true) {
  const MigratedText result = migrate_text(text, "m.dlm");
  EXPECT_TRUE(result.is_applied);
  EXPECT_EQ(result.kept_comments, kept_comments) << result.bytes;
  EXPECT_FALSE(migrate_text(result.bytes, "m.dlm").is_applied);
  return result.bytes;
}

std::vector<std::string> section_ids(const std::string& text) {
  std::vector<std::string> ids;
  for (const Section& section : parse_document(text, "m.dlm").sections) {
    ids.push_back(section_id(section));
  }
  return ids;
}

TEST(MigrateText, ChangesOnlyTheNumberOfVersionsTwoToFourteen) {
  for (int version = 1; version < kCurrentSchemaVersion; ++version) {
    const auto text = [&](int v) {
      return "---\n# mine\n" + kId + "dlm_version:   " + std::to_string(v) +
             "  # schema\nbase_model: \"tiny\"   # why not\n\ntraining:\n    lora_r: 8\n" + kBody;
    };
    const MigratedText result = migrate_text(text(version), "m.dlm");
    EXPECT_EQ(result.from, version);
    EXPECT_EQ(result.bytes, text(kCurrentSchemaVersion));
    EXPECT_TRUE(result.kept_comments);
  }
}

TEST(MigrateText, LeavesACurrentDocumentAsItIs) {
  const std::string text = "---\n" + kId + "dlm_version: 15\nbase_model: tiny\n" + kBody;
  const MigratedText result = migrate_text(text, "m.dlm");
  EXPECT_FALSE(result.is_applied);
  EXPECT_EQ(result.bytes, text);
}

TEST(MigrateText, AddsAMissingVersionBelowTheId) {
  EXPECT_EQ(migrated("---\nbase_model: tiny\n" + kId + "# end\n" + kBody),
            "---\nbase_model: tiny\n" + kId + "dlm_version: 15\n# end\n" + kBody);
}

TEST(MigrateText, KeepsLineEndsAndByteOrderMark) {
  EXPECT_EQ(migrated("\xEF\xBB\xBF---\r\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\r\nbase_model: "
                     "tiny\r\n---\r\ntext\r\rmore"),
            "\xEF\xBB\xBF---\r\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\r\ndlm_version: "
            "15\r\nbase_model: tiny\r\n---\r\ntext\r\rmore");
}

TEST(MigrateText, TurnsTheOldBlockIntoPreferenceInPlace) {
  const std::string text = "---\n" + kId +
                           "dlm_version: 1\n"
                           "base_model: tiny\n"
                           "training:\n"
                           "  lora_r: 4  # small\n"
                           "  # pairs of answers\n"
                           "  dpo:  # old name\n"
                           "    # how far from the reference\n"
                           "    beta: 0.2  # gentle\n"
                           "    enabled: true\n"
                           "\n"
                           "    # passes\n"
                           "    num_epochs: 2\n"
                           "    reference: 'pre_dpo_adapter'  # what came before\n"
                           "  # the seed of the town\n"
                           "  seed: 7\n" +
                           kBody;
  EXPECT_EQ(migrated(text), "---\n" + kId +
                                "dlm_version: 15\n"
                                "base_model: tiny\n"
                                "training:\n"
                                "  lora_r: 4  # small\n"
                                "  # pairs of answers\n"
                                "  preference:  # old name\n"
                                "    method: dpo\n"
                                "    enabled: true\n"
                                "    reference: 'pre_adapter'  # what came before\n"
                                "    hyperparams:\n"
                                "      # how far from the reference\n"
                                "      beta: 0.2  # gentle\n"
                                "\n"
                                "      # passes\n"
                                "      num_epochs: 2\n"
                                "  # the seed of the town\n"
                                "  seed: 7\n" +
                                kBody);
  EXPECT_EQ(section_ids(migrated(text)), section_ids(text));
}

TEST(MigrateText, EditsKeysInAnyOrder) {
  const std::string old_block = "training:\n  dpo:\n    beta: 0.2\n";
  const std::string new_block =
      "training:\n  preference:\n    method: dpo\n    hyperparams:\n      beta: 0.2\n";
  EXPECT_EQ(migrated("---\n" + old_block + "base_model: tiny\ndlm_version: 1\n" + kId + kBody),
            "---\n" + new_block + "base_model: tiny\ndlm_version: 15\n" + kId + kBody);
  EXPECT_EQ(migrated("---\n" + old_block + "base_model: tiny\n" + kId + kBody),
            "---\n" + new_block + "base_model: tiny\n" + kId + "dlm_version: 15\n" + kBody);
}

TEST(MigrateText, DropsUnknownKeysOfTheOldBlockWithAWarning) {
  const std::string text = "---\n" + kId +
                           "base_model: tiny\ntraining:\n  dpo:\n    # once\n    gamma: 1\n"
                           "    enabled: false\n" +
                           kBody;
  const MigratedText result = migrate_text(text, "m.dlm");
  EXPECT_EQ(result.bytes, "---\n" + kId +
                              "dlm_version: 15\nbase_model: tiny\ntraining:\n  preference:\n"
                              "    method: dpo\n    # once\n    enabled: false\n" +
                              kBody);
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_EQ(result.warnings[0].message, "training.dpo.gamma is no known key and is left out");
}

TEST(MigrateText, RemovesAnEmptyOldBlock) {
  EXPECT_EQ(migrated("---\n" + kId + "base_model: tiny\ntraining:\n  dpo: ~\n  seed: 1\n" + kBody),
            "---\n" + kId + "dlm_version: 15\nbase_model: tiny\ntraining:\n  seed: 1\n" + kBody);
}

// Each of these is written anew: the body, and what the settings mean, stay.
TEST(MigrateText, WritesAnewWhatItCannotEdit) {
  const std::string cases[] = {
      "---\n{dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7, base_model: tiny}\n",
      "---\n" + kId + "base_model: tiny\ntraining:\n  dpo: {beta: 0.2, enabled: true}\n",
      "---\n" + kId + "base_model: tiny\ntraining:\n  dpo: {\n    beta: 0.2,\n    enabled: true}\n",
      "---\n" + kId + "base_model: tiny\ntraining: {dpo: {beta: 0.2}}\n",
      "---\n" + kId + "base_model: tiny\ntraining:\n  dpo: {}\n",
      "---\n" + kId + "base_model: tiny\ntraining:\n  dpo: null\n",
      "---\n" + kId +
          "base_model: tiny\ntraining:\n  preference:\n    enabled: true\n  dpo:\n    beta: 0.3\n",
      "---\n" + kId + "base_model: tiny\ntraining:\n  dpo:\n    beta: 0.3\n  dpo:\n    beta: 0.4\n",
      "---\n" + kId +
          "base_model: tiny\ntraining:\n  seed: &one 1\n  lora_r: *one\ndlm_version: *one\n",
      "---\n" + kId +
          "base_model: tiny\ntraining:\n  dpo:\n    <<: {beta: 0.3}\n    enabled: true\n",
  };
  for (const std::string& head : cases) {
    SCOPED_TRACE(head);
    const Document before = parse_document(head + kBody, "m.dlm");
    const std::string text = migrated(head + kBody, false);
    EXPECT_TRUE(text.ends_with("\n" + kBody)) << text;
    const Document after = parse_document(text, "m.dlm");
    EXPECT_EQ(after.frontmatter.training, before.frontmatter.training);
    EXPECT_EQ(section_ids(text), section_ids(head + kBody));
  }
}

TEST(MigrateText, RefusesWhatNoReaderTakes) {
  EXPECT_EQ(refuse([] { migrate_text("---\n" + kId + "dlm_version: 0\n" + kBody, "m.dlm"); }).what,
            "m.dlm:3:14: dlm_version 0 does not exist; the first one is 1");
  EXPECT_EQ(refuse([] {
              migrate_text(
                  "---\n" + kId + "base_model: a\ntraining:\n  dpo:\n    beta: 7\n" + kBody,
                  "m.dlm");
            }).what,
            "m.dlm:6:11: training.preference.hyperparams.beta: must be at most 1, got 7");
}

TEST_F(Corpus, MigratesEveryDocumentWithoutChangingWhatItSays) {
  size_t num_migrated = 0;
  for (const char* folder : {"valid", "extra"}) {
    for (const std::string& file : list(folder)) {
      SCOPED_TRACE(file);
      const std::string text = bytes(file);
      MigratedText result;
      try {
        result = migrate_text(text, file);
      } catch (const Error&) {
        EXPECT_STREQ(folder, "extra");  // some of these are refused, as they should be
        continue;
      }
      if (!result.is_applied) continue;
      ++num_migrated;
      // The body is the file's own bytes.
      EXPECT_TRUE(result.kept_comments) << result.bytes;
      EXPECT_EQ(section_ids(result.bytes), section_ids(text));
      EXPECT_FALSE(migrate_text(result.bytes, file).is_applied);
    }
  }
  EXPECT_GT(num_migrated, 50u);
}

}  // namespace
}  // namespace dlm
