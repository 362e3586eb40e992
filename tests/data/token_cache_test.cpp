// The token cache: what was put in comes out, for its own key only; damage, limits and other
// processes cost entries, never wrong tokens.
#include "data/token_cache.h"

#include <gtest/gtest.h>

#include <numeric>

#include "data/token_rows.h"
#include "support/error.h"
#include "support/file_lock.h"
#include "temporary_folder.h"
#include "tiny_tokenizer.h"

namespace dlm {
namespace {

constexpr int64_t kMany = 1 << 30;

TokenCacheKey key_of(const std::string& text) {
  const std::string_view parts[] = {text};
  return token_cache_key(parts);
}

// `count` tokens from `first` on.
std::vector<TokenRow> rows_from(int32_t first, size_t count) {
  TokenRow row;
  row.tokens.resize(count);
  std::iota(row.tokens.begin(), row.tokens.end(), first);
  row.loss_begin = 1;
  row.next = 7;
  row.text_begin = 3;
  row.text_end = 9;
  return {row, row};
}

std::vector<TokenRow> no_rows(size_t) {
  return {};
}

std::optional<std::vector<TokenRow>> find(TokenCache& cache, const std::string& name) {
  std::vector<TokenRow> rows;
  const bool is_there = cache.find(
      key_of(name), [](const TokenRow&) { return true; },
      [&](TokenRow row) { rows.push_back(std::move(row)); });
  if (!is_there) return std::nullopt;
  return rows;
}

void expect_same(const std::vector<TokenRow>& a, const std::vector<TokenRow>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].tokens, b[i].tokens);
    EXPECT_EQ(a[i].labels(), b[i].labels());
    EXPECT_EQ(a[i].text_begin, b[i].text_begin);
    EXPECT_EQ(a[i].text_end, b[i].text_end);
  }
}

class TokenCacheTest : public ::testing::Test {
 protected:
  fs::path folder() const { return folder_ / "tokenized-cache"; }
  fs::path segment(int number) const {
    return folder() / ("00000" + std::to_string(number) + ".tokens");
  }

  // Adds one entry as a run of its own would.
  bool put(const std::string& name, const std::vector<TokenRow>& rows, int64_t now,
           int64_t max_bytes = kMany) {
    TokenCache cache(folder());
    const TokenCache::Fresh fresh[] = {{key_of(name), 0}};
    return cache.save(
        fresh, [&](size_t) { return rows; }, max_bytes, now);
  }
  bool has(const std::string& name) const {
    TokenCache cache(folder());
    return find(cache, name).has_value();
  }
  // A run that finds an entry and adds nothing.
  void use(const std::string& name, int64_t now) {
    TokenCache cache(folder());
    ASSERT_TRUE(find(cache, name));
    ASSERT_TRUE(cache.save({}, no_rows, kMany, now));
  }
  void change_byte(const fs::path& path, size_t at) {
    std::string bytes = read_file(path);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_file_atomic(path, bytes);
  }

  TemporaryFolder folder_;
};

TEST(TokenCacheKeys, TellPartsApart) {
  const std::string_view one[] = {"ab", "c"}, two[] = {"a", "bc"}, three[] = {"ab", "c", ""};
  EXPECT_NE(token_cache_key(one), token_cache_key(two));
  EXPECT_NE(token_cache_key(one), token_cache_key(three));
  EXPECT_EQ(token_cache_key(one), token_cache_key(one));
}

TEST_F(TokenCacheTest, GivesBackWhatWasPutUnderTheKey) {
  put("a", rows_from(10, 5), 100);
  put("b", rows_from(20, 300), 100);
  TokenCache cache(folder());
  expect_same(find(cache, "a").value(), rows_from(10, 5));
  expect_same(find(cache, "b").value(), rows_from(20, 300));
  EXPECT_FALSE(find(cache, "c"));
  EXPECT_EQ(cache.hits(), 2);
  EXPECT_EQ(cache.misses(), 1);
  EXPECT_EQ(cache.size().entries, 2);
  EXPECT_TRUE(cache.warnings().empty());
}

TEST_F(TokenCacheTest, AnAbsentFolderIsEmptyAndStaysAbsent) {
  TokenCache cache(folder());
  EXPECT_FALSE(find(cache, "a"));
  EXPECT_TRUE(cache.save({}, no_rows, kMany, 1));
  EXPECT_EQ(cache.remove_unused_since(100), 0);
  EXPECT_EQ(cache.clear(), 0);
  EXPECT_FALSE(fs::exists(folder()));
}

TEST_F(TokenCacheTest, ADamagedEntryIsDroppedAndTheOthersStay) {
  put("a", rows_from(10, 5), 100);
  put("b", rows_from(20, 5), 100);
  change_byte(segment(1), 16 + 64 + 50);  // in the payload of "a"
  TokenCache cache(folder());
  EXPECT_FALSE(find(cache, "a"));
  ASSERT_EQ(cache.warnings().size(), 1u);
  EXPECT_EQ(cache.warnings()[0],
            "an entry of the token cache is damaged; its text is tokenized again");
  EXPECT_TRUE(find(cache, "b"));
  const std::vector<TokenRow> rows = rows_from(10, 5);
  const TokenCache::Fresh fresh[] = {{key_of("a"), 0}};
  EXPECT_TRUE(cache.save(
      fresh, [&](size_t) { return rows; }, kMany, 200));
  EXPECT_TRUE(has("a"));
  EXPECT_TRUE(has("b"));
  EXPECT_TRUE(TokenCache(folder()).warnings().empty());
}

TEST_F(TokenCacheTest, WhatTheReaderRefusesIsMissingAndTakenOut) {
  put("a", rows_from(10, 5), 100);
  TokenCache cache(folder());
  int num_rows = 0;
  const auto refuse_second = [&](const TokenRow&) { return ++num_rows < 2; };
  EXPECT_FALSE(cache.find(key_of("a"), refuse_second, [](const TokenRow&) { FAIL(); }));
  EXPECT_EQ(num_rows, 2);
  EXPECT_EQ(cache.misses(), 1);
}

// More than is read at once.
TEST_F(TokenCacheTest, ALongEntryIsReadInPieces) {
  const std::vector<TokenRow> rows = rows_from(10, 200'000);
  put("a", rows, 100);
  TokenCache cache(folder());
  expect_same(find(cache, "a").value(), rows);
}

TEST_F(TokenCacheTest, AnyDamagedByteCostsEntriesOnly) {
  put("a", rows_from(10, 5), 100);
  const std::string good = read_file(segment(1));
  const std::vector<TokenRow> expected = rows_from(10, 5);
  for (size_t at = 0; at < good.size(); ++at) {
    write_file_atomic(segment(1), good);
    change_byte(segment(1), at);
    TokenCache cache(folder());
    if (const auto found = find(cache, "a")) expect_same(*found, expected);
  }
}

TEST_F(TokenCacheTest, AFileThatIsCutOffAnywhereIsHandled) {
  put("a", rows_from(10, 5), 100);
  const std::string good = read_file(segment(1));
  for (size_t size = 0; size < good.size(); ++size) {
    write_file_atomic(segment(1), good.substr(0, size));
    TokenCache cache(folder());
    EXPECT_FALSE(find(cache, "a")) << size;
    // A file that ends with an entry, or with none, is whole.
    EXPECT_EQ(cache.warnings().size(), size == 16 ? 0u : 1u) << size;
  }
}

TEST_F(TokenCacheTest, ClaimsOfHugeEntriesAreNotBelieved) {
  put("a", rows_from(10, 5), 100);
  std::string bytes = read_file(segment(1));
  for (size_t i = 0; i < 8; ++i) bytes[16 + 40 + i] = '\xff';
  write_file_atomic(segment(1), bytes);
  TokenCache cache(folder());
  EXPECT_FALSE(find(cache, "a"));
  EXPECT_EQ(cache.warnings().size(), 1u);
}

TEST_F(TokenCacheTest, WhatWasUsedLongestAgoMakesRoom) {
  put("a", rows_from(10, 100), 100);
  put("b", rows_from(20, 100), 200);
  put("c", rows_from(30, 100), 300);
  use("a", 400);
  const auto bytes = static_cast<int64_t>(TokenCache(folder()).size().bytes);
  put("d", rows_from(40, 100), 500, bytes);
  EXPECT_TRUE(has("a"));
  EXPECT_FALSE(has("b"));
  EXPECT_TRUE(has("c"));
  EXPECT_TRUE(has("d"));
  EXPECT_LE(static_cast<int64_t>(TokenCache(folder()).size().bytes), bytes);
}

TEST_F(TokenCacheTest, AnEntryThatNeverFitsIsLeftOut) {
  put("a", rows_from(10, 1000), 100, 2000);
  EXPECT_FALSE(has("a"));
}

TEST_F(TokenCacheTest, PruningRemovesWhatWasNotUsed) {
  put("a", rows_from(10, 5), 100);
  put("b", rows_from(20, 5), 200);
  use("a", 300);
  EXPECT_EQ(TokenCache(folder()).remove_unused_since(250), 1);
  EXPECT_TRUE(has("a"));
  EXPECT_FALSE(has("b"));
  EXPECT_EQ(TokenCache(folder()).remove_unused_since(250), 0);
}

TEST_F(TokenCacheTest, ClearingRemovesAll) {
  put("a", rows_from(10, 5), 100);
  put("b", rows_from(20, 5), 200);
  EXPECT_EQ(TokenCache(folder()).clear(), 2);
  EXPECT_EQ(TokenCache(folder()).size().entries, 0);
  EXPECT_EQ(TokenCache(folder()).size().bytes, 0u);
}

TEST_F(TokenCacheTest, ManyRunsMakeFewFiles) {
  for (int i = 0; i < 40; ++i) put("row " + std::to_string(i), rows_from(i, 5), i);
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(has("row " + std::to_string(i))) << i;
  EXPECT_EQ(TokenCache(folder()).size().entries, 40);
  size_t files = 0;
  for (const auto& file : fs::directory_iterator(folder())) {
    files += file.path().extension() == ".tokens";
  }
  EXPECT_LE(files, 17u);
}

TEST_F(TokenCacheTest, ARunThatCannotWriteSavesNothing) {
  put("a", rows_from(10, 5), 100);
  const auto other = FileLock::try_acquire(folder() / ".lock");
  ASSERT_TRUE(other);
  EXPECT_FALSE(put("b", rows_from(20, 5), 200));
  EXPECT_TRUE(has("a"));
  EXPECT_FALSE(has("b"));
  EXPECT_THROW(TokenCache(folder()).clear(), Error);
}

TEST_F(TokenCacheTest, TwoRunsAtOnceKeepWhatBothAdd) {
  TokenCache first(folder()), second(folder());
  const std::vector<TokenRow> rows = rows_from(10, 5), other = rows_from(20, 5);
  const TokenCache::Fresh of_first[] = {{key_of("a"), 0}, {key_of("both"), 0}};
  const TokenCache::Fresh of_second[] = {{key_of("b"), 1}, {key_of("both"), 0}};
  const auto rows_of = [&](size_t number) { return number == 0 ? rows : other; };
  EXPECT_TRUE(first.save(of_first, rows_of, kMany, 100));
  EXPECT_TRUE(second.save(of_second, rows_of, kMany, 100));
  EXPECT_TRUE(has("a"));
  EXPECT_TRUE(has("b"));
  EXPECT_EQ(TokenCache(folder()).size().entries, 3);
}

// As a program would that copies another store over this one while it is read.
TEST_F(TokenCacheTest, AFileThatChangesUnderneathCostsEntriesOnly) {
  put("a", rows_from(10, 5), 100);
  TokenCache cut(folder()), overwritten(folder());
  const uintmax_t size = fs::file_size(segment(1));
  fs::resize_file(segment(1), 40);
  EXPECT_FALSE(find(cut, "a"));
  EXPECT_EQ(cut.warnings().size(), 1u);
  fs::resize_file(segment(1), size);
  EXPECT_FALSE(find(overwritten, "a"));
  EXPECT_EQ(overwritten.misses(), 1);
}

TEST_F(TokenCacheTest, AReaderKeepsItsViewWhileAnotherClears) {
  put("a", rows_from(10, 5), 100);
  TokenCache reader(folder());
  EXPECT_EQ(TokenCache(folder()).clear(), 1);
  expect_same(find(reader, "a").value(), rows_from(10, 5));
  // What it found is gone; saving that it was used brings nothing back.
  EXPECT_TRUE(reader.save({}, no_rows, kMany, 200));
  EXPECT_FALSE(has("a"));
}

TEST_F(TokenCacheTest, RemembersTheLastRun) {
  put("a", rows_from(10, 5), 100);
  TokenCache cache(folder());
  EXPECT_FALSE(cache.last_use());
  find(cache, "a");
  find(cache, "b");
  cache.record_use(12);
  const auto use = TokenCache(folder()).last_use();
  ASSERT_TRUE(use);
  EXPECT_EQ(use->run_id, 12);
  EXPECT_EQ(use->hits, 1);
  EXPECT_EQ(use->misses, 1);
  write_file_atomic(folder() / "last-run.json", "{");
  EXPECT_FALSE(TokenCache(folder()).last_use());
}

// All pairs of a section and all chunks of a text come back as their own.
TEST_F(TokenCacheTest, RowsOfADocumentAreTheSameFromTheCache) {
  write_tiny_tokenizer(folder_ / "base");
  const ChatFormat format = ChatFormat::load(folder_ / "base");
  std::string body;
  for (int i = 0; i < 30; ++i) body += "The river is cold in the winter. ";
  body += "\n::instruction::\n";
  for (int i = 0; i < 5; ++i) {
    const std::string n = std::to_string(i);
    body += "### Q\nquestion " + n + "\n\n### A\nanswer " + n + "\n\n";
  }
  const Document document = parse_document(
      "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n---\n" +
          body,
      "notes.dlm");
  const DocumentRows rows = rows_of(document);
  const auto tokenize = [&](CachedTokens* cached, int64_t max_tokens, const char* system) {
    std::vector<TokenRow> made;
    outline_rows(rows, format, std::string(system), max_tokens, "notes.dlm", 0, cached,
                 [&](const TokenRow& row) { made.push_back(row); });
    return made;
  };
  CachedTokens first{TokenCache(folder()), "digest", {}};
  const std::vector<TokenRow> made = tokenize(&first, 64, "Be brief.");
  const auto fresh = fresh_entries(rows, first, "Be brief.", 64);
  EXPECT_EQ(fresh.size(), 6u);
  const auto rows_of_fresh = [&](size_t number) {
    std::vector<TokenRow> one;
    tokenize_row(rows.rows[number], format, "Be brief.", 64, "notes.dlm",
                 [&](TokenRow row) { one.push_back(std::move(row)); });
    return one;
  };
  ASSERT_TRUE(first.cache.save(fresh, rows_of_fresh, kMany, 100));

  CachedTokens second{TokenCache(folder()), "digest", {}};
  const std::vector<TokenRow> found = tokenize(&second, 64, "Be brief.");
  EXPECT_EQ(second.cache.hits(), 6);
  EXPECT_TRUE(fresh_entries(rows, second, "Be brief.", 64).empty());
  expect_same(found, made);
  for (size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(found[i].id, made[i].id);
    EXPECT_EQ(found[i].source, made[i].source);
  }
  // Another system prompt concerns the pairs, another limit the text, another tokenizer both.
  CachedTokens prompt{TokenCache(folder()), "digest", {}};
  expect_same(tokenize(&prompt, 64, "Be long."), tokenize(nullptr, 64, "Be long."));
  EXPECT_EQ(prompt.cache.hits(), 1);
  CachedTokens limit{TokenCache(folder()), "digest", {}};
  expect_same(tokenize(&limit, 48, "Be brief."), tokenize(nullptr, 48, "Be brief."));
  EXPECT_EQ(limit.cache.hits(), 5);
  CachedTokens tokenizer{TokenCache(folder()), "another digest", {}};
  tokenize(&tokenizer, 64, "Be brief.");
  EXPECT_EQ(tokenizer.cache.hits(), 0);
}

// An entry under a row's own key that another program wrote.
TEST_F(TokenCacheTest, EntriesThatCannotBeTheRowsAreTokenizedAgain) {
  write_tiny_tokenizer(folder_ / "base");
  const ChatFormat format = ChatFormat::load(folder_ / "base");
  const Document document = parse_document(
      "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n---\n"
      "The \xc3\xb6ld river.\n::instruction::\n### Q\nquestion\n\n### A\nanswer\n",
      "notes.dlm");
  const DocumentRows rows = rows_of(document);
  const auto tokenize = [&](CachedTokens* cached) {
    std::vector<TokenRow> made;
    outline_rows(rows, format, std::nullopt, 64, "notes.dlm", 0, cached,
                 [&](const TokenRow& row) { made.push_back(row); });
    return made;
  };
  const std::vector<TokenRow> good = tokenize(nullptr);
  TokenRow inside_character = good[0], beyond = good[0];
  inside_character.text_end = 5;
  beyond.text_end = 1000;
  const std::vector<std::vector<TokenRow>> wrong_texts = {{inside_character}, {beyond}};
  const std::vector<std::vector<TokenRow>> wrong_pairs = {{}, {good[1], good[1]}};
  for (size_t i = 0; i < wrong_texts.size(); ++i) {
    TokenCache(folder()).clear();
    CachedTokens first{TokenCache(folder()), "digest", {}};
    tokenize(&first);
    const auto fresh = fresh_entries(rows, first, std::nullopt, 64);
    const auto rows_of = [&](size_t number) {
      return (number == 0 ? wrong_texts : wrong_pairs)[i];
    };
    ASSERT_TRUE(first.cache.save(fresh, rows_of, kMany, 100));
    CachedTokens second{TokenCache(folder()), "digest", {}};
    expect_same(tokenize(&second), good);
    EXPECT_EQ(second.missing, std::vector<bool>(2, true));
  }
}

}  // namespace
}  // namespace dlm
