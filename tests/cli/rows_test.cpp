// dlm show --rows and dlm cache, as a person and a program see them.
#include <gtest/gtest.h>

#include "cli_fixture.h"
#include "data/token_cache.h"

namespace dlm {
namespace {

TEST_F(CliTest, ShowRowsMarksWhatCarriesLoss) {
  write_document(kPairs);
  const ProgramResult result = run({"show", document().string(), "--rows"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_NE(result.out.find("row 1, line 7: pair, document, train, "), std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("What swims in the river?<|im_end|>\n<|im_start|>assistant\n"
                            "⟦The otter.<|im_end|>⟧\n"),
            std::string::npos)
      << result.out;
  EXPECT_FALSE(fs::exists(store()));
}

TEST_F(CliTest, ShowRowsAsJsonHasTheTokensAndTheirLoss) {
  write_document("The river.\n" + std::string(kPairs));
  const ProgramResult result = run({"show", document().string(), "--rows", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json rows = parse_json(result.out);
  ASSERT_EQ(rows.size(), 3u);
  const Json& text = rows.items()[0];
  EXPECT_EQ(text.at("kind").as_string(), "text");
  EXPECT_EQ(text.at("num_loss_tokens").as_int(), text.at("num_tokens").as_int());
  const Json& pair = rows.items()[1];
  EXPECT_EQ(pair.at("kind").as_string(), "pair");
  EXPECT_EQ(pair.at("origin").as_string(), "document");
  EXPECT_EQ(pair.at("side").as_string(), "train");
  EXPECT_EQ(pair.at("copies").as_int(), 1);
  EXPECT_EQ(pair.at("line").as_int(), 8);
  EXPECT_EQ(pair.at("ids").size(), static_cast<size_t>(pair.at("num_tokens").as_int()));
  ASSERT_EQ(pair.at("pieces").size(), 2u);
  EXPECT_EQ(pair.at("pieces").items()[1].at("text").as_string(), "The otter.<|im_end|>");
  EXPECT_TRUE(pair.at("pieces").items()[1].at("has_loss").as_bool());
  const auto& span = pair.at("loss_spans").items()[0].items();
  EXPECT_EQ(span[1].as_int() - span[0].as_int(), pair.at("num_loss_tokens").as_int());
  EXPECT_EQ(span[1].as_int(), pair.at("num_tokens").as_int());
}

TEST_F(CliTest, ShowRowsTellsTheHeldOutOnes) {
  std::string body = "::instruction::\n";
  for (int i = 0; i < 80; ++i) {
    const std::string word(3, static_cast<char>('a' + i % 26));
    body += "### Q\n" + word + std::to_string(i) + "\n\n### A\n" + std::to_string(i * 7919) + word +
            "\n\n";
  }
  write_document(body);
  const ProgramResult result = run({"show", document().string(), "--rows", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  int held_out = 0;
  const Json rows = parse_json(result.out);
  for (const Json& row : rows.items()) held_out += row.at("side").as_string() == "held out";
  EXPECT_GT(held_out, 0);
  EXPECT_LT(held_out, 30);
}

TEST_F(CliTest, ShowBaseNeedsRows) {
  write_document(kPairs);
  EXPECT_EQ(run({"show", document().string(), "--base", "dlm-nano"}).exit_code, 2);
}

TEST_F(CliTest, ARepeatedPairIsSaidByTrainAndTrainedOnce) {
  write_document(std::string(kPairs) + kPairs);
  const ProgramResult result = run({"train", document().string(), "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(shown(result.err)
                .find("HERE/notes.dlm:19:1: this pair stands at line 7 already; it is "
                      "trained once"),
            std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("  - 2 pairs and 0 texts: 2 rows, "), std::string::npos) << result.err;
}

class CacheTest : public CliTest {
 protected:
  fs::path folder() const { return store() / "tokenized-cache"; }
  // One entry, used at that time.
  void put(const std::string& name, int64_t time) {
    TokenRow row;
    row.tokens = {1, 2, 3};
    row.loss_begin = 1;
    const std::vector<TokenRow> rows = {row};
    const std::string_view parts[] = {name};
    const TokenCache::Fresh fresh[] = {{token_cache_key(parts), 0}};
    TokenCache cache(folder());
    ASSERT_TRUE(cache.save(
        fresh, [&](size_t) { return rows; }, 1 << 20, time));
  }
  int64_t num_entries() const { return TokenCache(folder()).size().entries; }
};

TEST_F(CacheTest, ShowOfNoCacheIsZero) {
  write_document(kPairs);
  const ProgramResult result = run({"cache", "show", document().string(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out);
  EXPECT_EQ(json.at("dlm_id").as_string(), kTestId);
  EXPECT_EQ(json.at("cache_path").as_string(), folder().string());
  EXPECT_EQ(json.at("entry_count").as_int(), 0);
  EXPECT_TRUE(json.at("last_run_hit_rate").is_null());
  EXPECT_TRUE(json.at("cache_status").is_null());
}

TEST_F(CacheTest, ShowSaysThatItIsDisabled) {
  write_document(kPairs, "training:\n  cache:\n    enabled: false\n");
  const ProgramResult result = run({"cache", "show", document().string()});
  EXPECT_NE(result.out.find("status         disabled by training.cache.enabled\n"),
            std::string::npos)
      << result.out;
}

TEST_F(CacheTest, PruneRemovesWhatIsOlder) {
  write_document(kPairs);
  put("old", 1000);
  put("new", int64_t{4000000000});
  EXPECT_EQ(run({"cache", "prune", document().string(), "--older-than", "7d"}).out,
            "removed 1 entries older than 7d\n");
  EXPECT_EQ(num_entries(), 1);
  EXPECT_EQ(run({"cache", "prune", document().string()}).out, "removed 0 entries older than 90d\n");
  for (const char* wrong : {"7", "d", "7w", "-7d", "7dd", ""}) {
    const ProgramResult result =
        run({"cache", "prune", document().string(), std::string("--older-than=") + wrong});
    EXPECT_EQ(result.exit_code, 2) << wrong;
  }
}

TEST_F(CacheTest, ClearAsksFirst) {
  write_document(kPairs);
  put("a", 1000);
  options_.input = "n\n";
  ProgramResult result = run({"cache", "clear", document().string()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("cancelled"), std::string::npos);
  EXPECT_EQ(num_entries(), 1);
  options_.input = "y\n";
  EXPECT_EQ(run({"cache", "clear", document().string()}).out, "removed 1 entries\n");
  EXPECT_EQ(num_entries(), 0);
  put("a", 1000);
  options_.input.clear();
  EXPECT_EQ(run({"cache", "clear", document().string(), "--force"}).out, "removed 1 entries\n");
}

TEST_F(CacheTest, ABrokenDocumentIsRefused) {
  write_file_atomic(document(), "no document");
  EXPECT_EQ(run({"cache", "show", document().string()}).exit_code, 1);
}

TEST_F(CacheTest, ALargeDocumentIsReadFromItInTheNextRun) {
  std::string body;
  while (body.size() < 1'300'000) {
    body += "The otter swims in river " + std::to_string(body.size()) + ". ";
    if (body.size() % 3 == 0) body += "\n::prose::\n";
  }
  write_document("::instruction::\n### Q\nq\n\n### A\na\n::prose::\n" + body);
  const auto hit_rate = [&] {
    const ProgramResult shown = run({"cache", "show", document().string(), "--json"});
    return parse_json(shown.out).at("last_run_hit_rate");
  };
  // Reading is all that a dry run does.
  EXPECT_EQ(run({"train", document().string(), "--dry-run"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(store()));
  const auto train = [&](const char* flag) {
    const ProgramResult result =
        run({"train", document().string(), "--max-steps", "1", "--json", flag});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out).at("adapter_sha256").as_string();
  };
  const std::string sha256 = train("--no-cache");
  EXPECT_EQ(num_entries(), 0);
  EXPECT_EQ(train("--fresh"), sha256);
  EXPECT_GT(num_entries(), 1);
  EXPECT_EQ(hit_rate().as_double(), 0.0);
  EXPECT_EQ(train("--fresh"), sha256);
  EXPECT_EQ(hit_rate().as_double(), 1.0);
}

}  // namespace
}  // namespace dlm
