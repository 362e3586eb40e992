// Trees in temporary folders, and what the directives make of them.
#include "data/source_sections.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/rows.h"
#include "data/source_report.h"
#include "support/hash.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

constexpr const char* kHead =
    "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n";
const std::string kToken = "gh" + std::string("p_q7Zt3Kx9Vb2Nm5Ws8Rd4Yf6Hg1Jc0LpAeUiX");

class SourceTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    make_folders((folder_ / path).parent_path());
    write_file_atomic(folder_ / path, text);
  }
  void link(const std::string& target, const std::string& path) {
    make_folders((folder_ / path).parent_path());
    fs::create_symlink(target, folder_ / path);
  }

  // Reads a document doc.dlm with this below `sources:`.
  SourceSections read(const std::string& sources, const std::string& more = "") {
    const std::string text = kHead + ("training:\n" + more) + "  sources:\n" + sources + "---\n";
    write_file_atomic(folder_ / "doc.dlm", text);
    return read_sources(parse_document(text, (folder_ / "doc.dlm").string()), options_);
  }
  std::string refusal(const std::string& sources, const std::string& more = "") {
    try {
      read(sources, more);
    } catch (const Error& error) {
      std::string text = error.what();
      const std::string here = fs::canonical(folder_.path()).string();
      for (size_t at; (at = text.find(here)) != text.npos;) text.replace(at, here.size(), "HERE");
      return text;
    }
    return "accepted";
  }
  static std::vector<std::string> paths(const SourceSections& sources) {
    std::vector<std::string> list;
    for (const Section& section : sources.sections) list.push_back(section.source_path);
    return list;
  }

  TemporaryFolder folder_;
  SourceOptions options_;
};

using Paths = std::vector<std::string>;

TEST_F(SourceTest, FilesBecomeProseInTheOrderOfTheirPaths) {
  write("src/b.py", "print(2)\n");
  write("src/a.py", "print(1)\n");
  write("src/a/z.py", "print(3)\n");
  write("src/a-b/y.py", "print(4)\n");
  const SourceSections sources = read("    - path: src\n      include: ['**/*.py']\n");
  EXPECT_EQ(paths(sources), (Paths{"src/a/z.py", "src/a-b/y.py", "src/a.py", "src/b.py"}));
  EXPECT_EQ(sources.sections[2].content, "# source: a.py\n\nprint(1)\n");
  EXPECT_EQ(sources.sections[0].content, "# source: a/z.py\n\nprint(3)\n");
  ASSERT_EQ(sources.records.size(), 1U);
  EXPECT_EQ(sources.records[0].file_count, 4);
  EXPECT_EQ(sources.records[0].total_bytes, 36);
}

TEST_F(SourceTest, TheDigestIsThatOfTheListOfDigests) {
  write("src/a.md", "a");
  write("src/b.md", "b");
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(sources.records[0].sha256, sha256_hex(sha256_hex(std::string_view("a")) + "  a.md\n" +
                                                  sha256_hex(std::string_view("b")) + "  b.md\n"));
}

TEST_F(SourceTest, RowsKnowThatTheyComeFromASource) {
  write("src/.dlm/training.yaml", "metadata: {lang: en}\nweights: {lang: {en: 2}}\n");
  write("src/a.md", "text\n\n");
  SourceSections sources = read("    - path: src\n");
  Document document = parse_document(std::string(kHead) + "---\nOwn.\n", "doc.dlm");
  for (Section& section : sources.sections) document.sections.push_back(section);
  const DocumentRows rows = rows_of(document);
  ASSERT_EQ(rows.rows.size(), 2U);
  EXPECT_EQ(rows.rows[0].origin, RowOrigin::kDocument);
  EXPECT_EQ(rows.rows[1].origin, RowOrigin::kSource);
  EXPECT_EQ(rows.rows[1].text(), "# source: a.md\n\ntext");
  EXPECT_EQ(rows.rows[1].section->tags.at("lang"), "en");
  EXPECT_EQ(rows.rows[1].section->weight, 2);
  EXPECT_TRUE(sources.has_weights);
}

TEST_F(SourceTest, ASingleFileIsItsName) {
  write("notes.md", "# top\n");
  const SourceSections sources = read("    - path: notes.md\n      include: ['*.md']\n");
  ASSERT_EQ(sources.sections.size(), 1U);
  EXPECT_EQ(sources.sections[0].content, "# source: notes.md\n\n# top\n");
}

TEST_F(SourceTest, MaxFilesTakesTheFirst) {
  for (int i = 0; i < 5; ++i) write("src/" + std::to_string(i) + ".py", "#");
  const SourceSections sources = read("    - path: src\n      max_files: 2\n");
  EXPECT_EQ(paths(sources), (Paths{"src/0.py", "src/1.py"}));
  EXPECT_TRUE(sources.records[0].is_cut);
  EXPECT_EQ(source_counts(sources.records[0]),
            "2 files, 2 B; the rest is not looked at (max_files)");
}

TEST_F(SourceTest, LargeFilesAreLeftOut) {
  write("src/small.py", "x\n");
  write("src/big.py", std::string(100, 'x'));
  const SourceSections sources = read("    - path: src\n      max_bytes_per_file: 10\n");
  EXPECT_EQ(paths(sources), Paths{"src/small.py"});
  EXPECT_EQ(sources.records[0].skipped_over_size, 1);
}

TEST_F(SourceTest, AHugeFileIsNotReadUnlessItIsAsked) {
  write("src/a.txt", "a");
  fs::resize_file(folder_ / "src/a.txt", static_cast<uintmax_t>(kDefaultMaxSourceFileBytes) + 1);
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(sources.records[0].skipped_over_size, 1);
  EXPECT_EQ(sources.files_read, 0);
}

TEST_F(SourceTest, WhatIsNoTextIsLeftOutAndCounted) {
  write("src/a.bin", std::string("a\0b", 3));
  write("src/late.bin", std::string(5000, 'a') + '\0');
  write("src/latin.txt", "caf\xE9\n");
  write("src/pic.PNG", "x");
  write("src/song.ogg", "x");
  write("src/song.txt", "la\n");
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(paths(sources), Paths{"src/song.txt"});
  const SourceRecord& record = sources.records[0];
  EXPECT_EQ(record.skipped_binary, 2);
  EXPECT_EQ(record.skipped_encoding, 1);
  EXPECT_EQ(record.skipped_image_no_store, 1);
  EXPECT_EQ(record.skipped_audio_no_store, 1);
  EXPECT_EQ(source_counts(record),
            "1 file, 3 B; left out: 2 binary, 1 not UTF-8, 1 image, not used yet, 1 audio, not "
            "used yet");
  ASSERT_EQ(sources.warnings.size(), 1U);
  EXPECT_EQ(sources.warnings[0].place.path, "src/latin.txt");
}

TEST_F(SourceTest, LineEndsAndMarksAreThoseOfDocuments) {
  write("src/a.txt",
        "\xEF\xBB\xBF"
        "a\r\nb\rc\n");
  EXPECT_EQ(read("    - path: src\n").sections.at(0).content, "# source: a.txt\n\na\nb\nc\n");
}

TEST_F(SourceTest, LongLinesAreText) {
  write("src/a.txt", std::string(12 << 20, 'x'));
  EXPECT_EQ(read("    - path: src\n").records[0].file_count, 1);
}

TEST_F(SourceTest, FoldersThatAreLeftOutAreNotEntered) {
  write("src/a.md", "a");
  write("src/x/node_modules/b/c.md", "c");
  write("src/x/node_modules/.dlm/ignore", "!c.md\n");
  write("src/rebuild/d.md", "d");
  fs::create_directory(folder_ / "src/build");
  ASSERT_EQ(::chmod((folder_ / "src/build").c_str(), 0), 0);  // would be told when read
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(paths(sources), (Paths{"src/a.md", "src/rebuild/d.md"}));
  EXPECT_EQ(sources.records[0].skipped_folders, 2);
  EXPECT_EQ(sources.records[0].skipped_unreadable, 0);
  EXPECT_EQ(source_counts(sources.records[0]),
            "2 files, 2 B; left out: 2 folders (build, x/node_modules)");
}

TEST_F(SourceTest, ANegatedRuleBringsFilesBackFromSuchFolders) {
  write("src/build/keep.md", "k");
  write("src/build/other.md", "o");
  write("src/build/.dlm/ignore", "!other.md\n");  // does not count: it lies in what is left out
  write("src/.dlm/ignore", "!/build/keep.md\n");
  EXPECT_EQ(paths(read("    - path: src\n")), Paths{"src/build/keep.md"});
}

TEST_F(SourceTest, ConfigurationHoldsBelowItsFolder) {
  write("src/a.md", "a");
  write("src/sub/b.md", "b");
  write("src/sub/draft.md", "d");
  write("src/sub/.dlm/training.yaml", "exclude: [draft.md]\nmetadata: {kind: notes}\n");
  const SourceSections sources = read("    - path: src\n");
  ASSERT_EQ(paths(sources), (Paths{"src/a.md", "src/sub/b.md"}));
  EXPECT_TRUE(sources.sections[0].tags.empty());
  EXPECT_EQ(sources.sections[1].tags.at("kind"), "notes");
  ASSERT_EQ(sources.configs.size(), 1U);
  EXPECT_EQ(sources.configs[0].folder, "sub");
}

TEST_F(SourceTest, ABadTrainingYamlIsToldAndNotUsed) {
  write("src/a.md", "a");
  write("src/.dlm/training.yaml", "weights:\n  lang: {en: .nan}\n");
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(sources.records[0].file_count, 1);
  ASSERT_EQ(sources.warnings.size(), 1U);
  EXPECT_EQ(sources.warnings[0].message,
            "weights.lang.en: must be a finite number, got .nan; the file is not used");
  EXPECT_EQ(sources.warnings[0].place.to_string(), "src/.dlm/training.yaml:2:14");
}

TEST_F(SourceTest, AFileThatTwoDirectivesSeeIsTakenOnce) {
  write("src/a.md", "a");
  write("src/sub/b.md", "b");
  link("a.md", "src/z.md");
  const SourceSections sources = read("    - path: src/sub\n    - path: src\n");
  EXPECT_EQ(paths(sources), (Paths{"src/sub/b.md", "src/a.md"}));
  EXPECT_EQ(sources.records[1].skipped_duplicate, 2);
}

TEST_F(SourceTest, ADocumentIsNotItsOwnSource) {
  write("a.md", "a");
  EXPECT_EQ(paths(read("    - path: .\n")), Paths{"a.md"});
}

TEST_F(SourceTest, LinksToFoldersAndLoopsEnd) {
  write("src/a.md", "a");
  link(".", "src/loop");
  link("round", "src/round");
  link("nowhere", "src/dangling");
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(paths(sources), Paths{"src/a.md"});
  EXPECT_EQ(sources.records[0].skipped_unreadable, 2);
}

TEST_F(SourceTest, StrictTakesNoLinkOutOfTheSource) {
  write("outside.md", "o");
  write("src/a.md", "a");
  link("../outside.md", "src/link.md");
  const SourceSections strict = read("    - path: src\n", "  sources_policy: strict\n");
  EXPECT_EQ(paths(strict), Paths{"src/a.md"});
  EXPECT_EQ(strict.records[0].skipped_outside, 1);
  EXPECT_EQ(paths(read("    - path: src\n")), (Paths{"src/a.md", "src/link.md"}));
}

TEST_F(SourceTest, RefusesPathsThatAreNotThere) {
  EXPECT_EQ(refusal("    - path: nonexistent\n"),
            "HERE/doc.dlm: training.sources.0: path does not exist: HERE/nonexistent");
  link("loop", "loop");
  EXPECT_NE(refusal("    - path: loop\n"), "accepted");
}

TEST_F(SourceTest, StrictRefusesASourceOutsideOfTheDocumentsFolder) {
  EXPECT_EQ(refusal("    - path: /usr\n", "  sources_policy: strict\n"),
            "HERE/doc.dlm: training.sources.0: the path leads out of the document's folder, to "
            "/usr, which sources_policy: strict does not allow");
  link("/usr/share", "src");
  EXPECT_NE(refusal("    - path: src\n", "  sources_policy: strict\n"), "accepted");
}

TEST_F(SourceTest, PermissiveWarnsOfAPathThatLeadsOut) {
  TemporaryFolder other;
  write_file_atomic(other / "a.md", "a");
  link(other.path().string(), "src");
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(paths(sources), Paths{"src/a.md"});
  ASSERT_EQ(sources.warnings.size(), 1U);
  EXPECT_EQ(sources.warnings[0].message.find("training.sources: src leads out of"), 0U);
}

TEST_F(SourceTest, PathsOfADocumentInADlmFolderBeginAboveIt) {
  write("a.md", "a");
  const std::string text = kHead + std::string("training:\n  sources:\n    - path: .\n---\n");
  write(".dlm/corpus.dlm", text);
  const Document document = parse_document(text, (folder_ / ".dlm/corpus.dlm").string());
  EXPECT_EQ(paths(read_sources(document, {})), Paths{"a.md"});
}

TEST_F(SourceTest, FilesWithSecretsAreLeftOutAndTold) {
  write("src/a.md", "a");
  write("src/leak.py", "x = 1\nt = '" + kToken + "'\n");
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(paths(sources), Paths{"src/a.md"});
  EXPECT_EQ(sources.records[0].skipped_secret, 1);
  const std::vector<std::string> lines = source_lines(sources);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1], "  src/leak.py:2: this looks like a GitHub token; the file is left out");
  for (const std::string& line : lines) EXPECT_EQ(line.find(kToken), line.npos);
}

TEST_F(SourceTest, SecretsAreTakenWhenTheyAreAllowed) {
  write("src/leak.py", kToken);
  options_.allows_secrets = true;
  EXPECT_EQ(paths(read("    - path: src\n")), Paths{"src/leak.py"});
  options_.allows_secrets = false;
  write("src/.dlm/ignore", "!leak.*\n");
  EXPECT_TRUE(read("    - path: src\n").sections.empty());
  write("src/.dlm/ignore", "!leak.py\n");
  EXPECT_EQ(paths(read("    - path: src\n")), Paths{"src/leak.py"});
}

TEST_F(SourceTest, NamesWithLineEndsAreWrittenAsOneLine) {
  write("src/a\nb.md", "text");
  const SourceSections sources = read("    - path: src\n");
  ASSERT_EQ(sources.sections.size(), 1U);
  EXPECT_EQ(sources.sections[0].content, "# source: a\\nb.md\n\ntext");
  EXPECT_EQ(sources.sections[0].source_path, "src/a\\nb.md");
}

TEST_F(SourceTest, NamesThatAreNotUtf8AreLeftOut) {
  write("src/a.md", "a");
  const int file = ::open((folder_ / "src/b\xFF.md").c_str(), O_CREAT | O_WRONLY, 0644);
  if (file < 0) GTEST_SKIP() << "the file system refuses such names";
  ::close(file);
  const SourceSections sources = read("    - path: src\n");
  EXPECT_EQ(paths(sources), Paths{"src/a.md"});
  EXPECT_EQ(sources.records[0].skipped_encoding, 1);
}

TEST_F(SourceTest, PipesAreNotOpened) {
  write("src/a.md", "a");
  ASSERT_EQ(::mkfifo((folder_ / "src/pipe.md").c_str(), 0644), 0);
  link("pipe.md", "src/to_pipe.md");
  EXPECT_EQ(paths(read("    - path: src\n")), Paths{"src/a.md"});
}

TEST_F(SourceTest, FoldersThatAreTooDeepAreRefused) {
  fs::path deep = folder_ / "src";
  for (int i = 0; i < 202; ++i) deep /= "d";
  fs::create_directories(deep);
  EXPECT_EQ(refusal("    - path: src\n").find("src/d/d/d"), 0U);
}

TEST_F(SourceTest, RefusesAPatternThatIsTooLong) {
  write("src/a.md", "a");
  EXPECT_EQ(refusal("    - path: src\n      include: ['" + std::string(2000, 'x') + "']\n"),
            "HERE/doc.dlm: training.sources.0: a pattern may have at most 1024 characters, this "
            "one has 2000");
}

// Now is long after every file of the test.
constexpr int64_t kLater = int64_t{1} << 40;

TEST_F(SourceTest, WhatTheIndexKnowsIsNotReadAgain) {
  write("src/a.md", "a");
  write("src/b.bin", std::string("\0", 1));
  write("src/leak.py", kToken);
  options_.keeps_text = false;
  options_.index = folder_ / "cache/index";
  options_.now_unix_seconds = kLater;
  const SourceSections first = read("    - path: src\n");
  EXPECT_EQ(first.files_read, 3);
  EXPECT_TRUE(first.index_has_changed);
  first.index.write(options_.index);
  const SourceSections second = read("    - path: src\n");
  EXPECT_EQ(second.files_read, 0);
  EXPECT_FALSE(second.index_has_changed);
  EXPECT_EQ(source_records_json(second.records), source_records_json(first.records));
  EXPECT_EQ(source_lines(second), source_lines(first));
  write("src/a.md", "other");
  const SourceSections third = read("    - path: src\n");
  EXPECT_EQ(third.files_read, 1);
  EXPECT_NE(third.records[0].sha256, first.records[0].sha256);
}

TEST_F(SourceTest, WithTheIndexOnlyTextIsReadForTraining) {
  write("src/a.md", "a");
  write("src/b.bin", std::string("\0", 1));
  options_.index = folder_ / "cache/index";
  options_.now_unix_seconds = kLater;
  read("    - path: src\n").index.write(options_.index);
  const SourceSections again = read("    - path: src\n");
  EXPECT_EQ(again.files_read, 1);
  EXPECT_EQ(paths(again), Paths{"src/a.md"});
}

TEST_F(SourceTest, FilesThatHaveJustChangedAreNotKnown) {
  write("src/a.md", "a");
  options_.index = folder_ / "cache/index";
  struct stat status {};
  ASSERT_EQ(::stat((folder_ / "src/a.md").c_str(), &status), 0);
  options_.now_unix_seconds = status.st_ctim.tv_sec;
  EXPECT_EQ(read("    - path: src\n").index.size(), 0U);
}

TEST_F(SourceTest, ADamagedIndexIsNoIndex) {
  write("src/a.md", "a");
  options_.index = folder_ / "cache/index";
  options_.keeps_text = false;
  options_.now_unix_seconds = kLater;
  read("    - path: src\n").index.write(options_.index);
  std::string bytes = read_file(options_.index);
  bytes[30] ^= 1;
  write_file_atomic(options_.index, bytes);
  EXPECT_EQ(read("    - path: src\n").files_read, 1);
  write_file_atomic(options_.index, bytes.substr(0, 40));
  EXPECT_EQ(read("    - path: src\n").files_read, 1);
}

}  // namespace
}  // namespace dlm
