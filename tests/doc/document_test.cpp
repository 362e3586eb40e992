// Whole documents: what is read, and what is said about documents that cannot be read.
#include "doc/document.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "doc/routing.h"
#include "refusal.h"

namespace dlm {
namespace {

const std::string kHead =
    "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\ndlm_version: 15\nbase_model: tiny\n---\n";

TEST(Document, ReadsFrontmatterSectionsAndHash) {
  const Document document =
      parse_document(kHead + "\n# Title\n\n::instruction::\n### Q\nq\n### A\na\n", "note.dlm");
  EXPECT_EQ(document.frontmatter.dlm_id, "01HZ4X7TGZM3J1A2B3C4D5E6F7");
  EXPECT_EQ(document.frontmatter.base_model, "tiny");
  EXPECT_EQ(document.path, "note.dlm");
  EXPECT_TRUE(document.warnings.empty());
  ASSERT_EQ(document.sections.size(), 2u);
  EXPECT_EQ(document.sections[0].content, "# Title\n");
  EXPECT_EQ(document.sections[0].start_line, 7);
  EXPECT_EQ(document.sections[1].content, "### Q\nq\n### A\na");
  EXPECT_EQ(document.sections[1].start_line, 9);
  EXPECT_EQ(document.sections[1].content_line, 10);
  EXPECT_EQ(document.sha256_of_bytes.size(), 64u);
}

TEST(Document, TakesTheHashOfTheBytesAsTheyLieOnDisk) {
  const Document lf =
      parse_document("---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: a\n---\nx\n", "");
  const Document crlf = parse_document(
      "---\r\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\r\nbase_model: a\r\n---\r\nx\r\n", "");
  EXPECT_NE(lf.sha256_of_bytes, crlf.sha256_of_bytes);
  EXPECT_EQ(section_id(lf.sections.at(0)), section_id(crlf.sections.at(0)));
}

TEST(Document, WarnsAboutAByteOrderMark) {
  const Document document = parse_document("\xEF\xBB\xBF" + kHead + "x\n", "bom.dlm");
  ASSERT_EQ(document.warnings.size(), 1u);
  EXPECT_EQ(document.warnings[0].message, "a UTF-8 BOM at the start of the file is ignored");
  EXPECT_EQ(document.warnings[0].place.to_string(), "bom.dlm:1:1");
}

TEST(Document, RefusesAnEmptyFile) {
  const Refusal refusal = refuse([] { parse_document("", "new.dlm"); });
  EXPECT_EQ(refusal.kind, ErrorKind::kParse);
  EXPECT_EQ(refusal.what, "new.dlm:1:1: the document is empty");
  EXPECT_EQ(refusal.hint, "'dlm init FILE.dlm' writes a document to start from");
}

TEST(Document, RefusesABinaryFile) {
  const std::string bytes("GGUF\x03\0\0\0", 8);
  const Refusal refusal = refuse([&] { parse_document(bytes, "base.gguf"); });
  EXPECT_EQ(refusal.kind, ErrorKind::kEncoding);
  EXPECT_EQ(refusal.what, "base.gguf: this is a binary file, not a .dlm document");
  EXPECT_EQ(refusal.hint, "name a .dlm text file");
}

TEST(Document, NamesThePlaceOfBytesThatAreNotUtf8) {
  const Refusal refusal = refuse([] { parse_document(kHead + "caf\xE9 au lait\n", "latin.dlm"); });
  EXPECT_EQ(refusal.kind, ErrorKind::kEncoding);
  const std::string start =
      "latin.dlm:6:4: invalid UTF-8 at byte " + std::to_string(kHead.size() + 3) + ": ";
  EXPECT_EQ(refusal.what.substr(0, start.size()), start);
  EXPECT_EQ(refusal.hint, "a .dlm document is UTF-8 text; save it in that encoding");
}

TEST(Document, RefusesTextWithoutFrontmatter) {
  const Refusal refusal = refuse([] { parse_document("# Notes\n", "notes.md"); });
  EXPECT_EQ(refusal.what,
            "notes.md:1:1: expected '---' on line 1 to open frontmatter, got '# Notes'");
  EXPECT_EQ(refusal.hint, "'dlm init FILE.dlm' writes a document to start from");
}

TEST(Document, RefusesAnOpenerWithATrailingBlank) {
  const Refusal refusal = refuse([] { parse_document("--- \nx\n", ""); });
  EXPECT_EQ(refusal.what, "<text>:1:1: expected '---' on line 1 to open frontmatter, got '--- '");
  EXPECT_EQ(refusal.hint, "remove the blanks around the three hyphens");
}

TEST(Document, RefusesFrontmatterWithoutAnEnd) {
  const Refusal refusal = refuse([] { parse_document("---\ndlm_id: x\n", "a.dlm"); });
  EXPECT_EQ(refusal.what, "a.dlm:1:1: no closing '---' found for frontmatter block");
}

TEST(Document, SplitsWithoutTheLineEndBeforeTheCloser) {
  const DocumentParts parts = split_document("---\na: |\n  b\n---\nbody\n", "");
  EXPECT_EQ(parts.yaml, "a: |\n  b");
  EXPECT_EQ(parts.body, "body\n");
  EXPECT_EQ(parts.body_line, 5);
  EXPECT_EQ(split_document("---\n---", "").yaml, "");
  EXPECT_EQ(split_document("---\n\n---\n", "").body, "");
}

TEST(Document, ReadsOldVersionsByLiftingThem) {
  const Document document = parse_document(
      "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: a\ntraining:\n  dpo:\n    enabled: "
      "true\n"
      "    beta: 0.3\n    reference: pre_dpo_adapter\n    warp: 9\n---\n",
      "old.dlm");
  const PreferenceConfig& preference = document.frontmatter.training.preference;
  EXPECT_EQ(document.frontmatter.written_version, 1);
  EXPECT_EQ(document.frontmatter.dlm_version, 15);
  EXPECT_TRUE(preference.enabled);
  EXPECT_EQ(preference.hyperparams.beta, 0.3);
  EXPECT_EQ(preference.reference, PreferenceReference::kPreAdapter);
  EXPECT_TRUE(document.frontmatter.was_written("training.preference.hyperparams.beta"));
  EXPECT_FALSE(document.frontmatter.was_written("training.preference.loss_type"));
  ASSERT_EQ(document.warnings.size(), 1u);
  EXPECT_EQ(document.warnings[0].message, "training.dpo.warp is no known key and is left out");
  EXPECT_EQ(document.warnings[0].place.to_string(), "old.dlm:9:5");
}

TEST(Document, RefusesVersionsItDoesNotKnow) {
  const auto refuse_version = [](const std::string& version) {
    return refuse([&] { parse_document("---\ndlm_version: " + version + "\n---\n", "v.dlm"); });
  };
  EXPECT_EQ(refuse_version("16").what,
            "v.dlm:2:14: dlm_version 16 is newer than this parser, which knows versions up to 15");
  EXPECT_EQ(refuse_version("0").what,
            "v.dlm:2:14: dlm_version 0 does not exist; the first one is 1");
  EXPECT_EQ(refuse_version("\"5\"").what, "v.dlm:2:14: dlm_version must be an integer, got text");
  EXPECT_EQ(refuse_version("2.0").what, "v.dlm:2:14: dlm_version must be an integer, got a number");
  EXPECT_EQ(refuse_version("").what, "v.dlm:2:13: dlm_version must be an integer, got null");
}

TEST(Document, LoadsAFileByPath) {
  const fs::path path = fs::path(testing::TempDir()) / "load_test.dlm";
  write_file_atomic(path, kHead + "text\n");
  EXPECT_EQ(load_document(path).sections.at(0).content, "text");
  fs::remove(path);
  EXPECT_EQ(refuse([&] { load_document(path); }).kind, ErrorKind::kIo);
}

const std::string kTwoAdapters =
    "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: a\ntraining:\n  adapters:\n    facts: "
    "{}\n"
    "    tone: {}\n---\n";

TEST(Routing, SendsSectionsToTheirAdapters) {
  const Document document = parse_document(
      kTwoAdapters +
          "all\n::instruction::\n### Q\nq\n### A\na\n::instruction#tone::\n### Q\nq\n### A\nb\n",
      "");
  check_routing(document);
  EXPECT_EQ(sections_of_adapter(document, "facts"), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(sections_of_adapter(document, "tone"), (std::vector<size_t>{0, 2}));
}

TEST(Routing, RefusesAnAdapterThatIsNotDeclared) {
  const Document document = parse_document(kTwoAdapters + "::prose#tome::\nx\n", "r.dlm");
  const Refusal refusal = refuse([&] { check_routing(document); });
  EXPECT_EQ(refusal.what,
            "r.dlm:9:1: no adapter is named 'tome'; the document declares: facts, tone");
  EXPECT_EQ(refusal.hint, "did you mean 'tone'?");
}

TEST(Routing, KnowsTheImplicitDefaultAdapter) {
  const Document document = parse_document(kHead + "::prose#default::\nx\n", "");
  check_routing(document);
  EXPECT_EQ(sections_of_adapter(document, "default"), (std::vector<size_t>{0}));
}

TEST(DocumentId, IsFoundInADocumentThatIsBrokenElsewhere) {
  EXPECT_EQ(read_document_id("---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbad: 1\n---\n::x::\n", "d"),
            "01HZ4X7TGZM3J1A2B3C4D5E6F7");
  EXPECT_EQ(refuse([] { read_document_id("---\ndlm_id: 7\n---\n", "d"); }).what,
            "d: there is no valid dlm_id");
  EXPECT_THROW(read_document_id("text", "d"), Error);
}

}  // namespace
}  // namespace dlm
