#include "data/directory_scaffold.h"

#include <gtest/gtest.h>

#include "doc/document.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

class ScaffoldTest : public ::testing::Test {
 protected:
  ScaffoldTest() {
    request_.folder = folder_.path();
    request_.base_model = "dlm-nano";
  }
  Scaffold scaffold() { return scaffold_directory(request_, system_clock(), os_random); }
  std::string refusal() {
    try {
      scaffold();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kIo);
      return error.message();
    }
    return "accepted";
  }
  fs::path document(const char* name = "corpus") const {
    return folder_ / ".dlm" / (std::string(name) + ".dlm");
  }

  TemporaryFolder folder_;
  ScaffoldRequest request_;
};

TEST_F(ScaffoldTest, WritesADocumentThatMayMoveWithItsFolder) {
  const Scaffold made = scaffold();
  EXPECT_TRUE(made.is_new);
  EXPECT_EQ(read_file(document()),
            "---\ndlm_id: " + made.dlm_id +
                "\ndlm_version: 15\nbase_model: dlm-nano\ntraining:\n  sources:\n    - path: .\n   "
                "   include: [\"**/*\"]\n"
                "  sources_policy: strict\n"
                "# Written by 'dlm train' for the folder above. Edit it, and add sections below.\n"
                "---\n");
  const Document read = load_document(document());
  EXPECT_TRUE(read.sections.empty());
  EXPECT_EQ(read.frontmatter.training.sources->at(0).include, std::vector<std::string>{"**/*"});
}

TEST_F(ScaffoldTest, EveryFlagReadsBack) {
  request_.include = {"**/*.md", "it's \"quoted\", \\ and: {so} on", "# x"};
  request_.exclude = {"a,b"};
  request_.policy = SourcesPolicy::kPermissive;
  request_.name = "my notes";
  scaffold();
  const Frontmatter f = load_document(document("my notes")).frontmatter;
  EXPECT_EQ(f.training.sources->at(0).include, request_.include);
  EXPECT_EQ(f.training.sources->at(0).exclude, request_.exclude);
  EXPECT_EQ(f.training.sources_policy, SourcesPolicy::kPermissive);
}

TEST_F(ScaffoldTest, WithoutFoldersBelowItTakesTheTop) {
  request_.is_recursive = false;
  scaffold();
  EXPECT_EQ(load_document(document()).frontmatter.training.sources->at(0).include,
            std::vector<std::string>{"*"});
}

TEST_F(ScaffoldTest, TheSecondRunGoesOnWithTheDocument) {
  const Scaffold first = scaffold();
  const std::string before = read_file(document());
  EXPECT_FALSE(scaffold().is_new);  // the same flags contradict nothing
  request_.base_model.reset();
  const Scaffold again = scaffold();
  EXPECT_FALSE(again.is_new);
  EXPECT_EQ(again.dlm_id, first.dlm_id);
  EXPECT_EQ(read_file(document()), before);
}

TEST_F(ScaffoldTest, FlagsThatTheDocumentContradictsAreRefused) {
  scaffold();
  request_.base_model = "smollm2-135m";
  request_.include = {"*.md"};
  request_.policy = SourcesPolicy::kPermissive;
  EXPECT_EQ(refusal(), "the folder's document says otherwise than --base, --include, --policy");
  request_ = {};
  request_.folder = folder_.path();
  request_.is_recursive = false;
  EXPECT_EQ(refusal(), "the folder's document says otherwise than --no-recursive");
}

TEST_F(ScaffoldTest, TheFirstRunNeedsABase) {
  request_.base_model.reset();
  EXPECT_EQ(refusal(), "this is the first run on the folder, which needs a base model");
  EXPECT_FALSE(path_exists(folder_ / ".dlm"));
}

TEST_F(ScaffoldTest, TheOnlyDocumentIsTheOneMeant) {
  request_.name = "notes";
  const Scaffold made = scaffold();
  request_.name.reset();
  EXPECT_EQ(scaffold().dlm_id, made.dlm_id);
}

TEST_F(ScaffoldTest, SeveralDocumentsNeedAName) {
  request_.name = "a";
  const Scaffold a = scaffold();
  request_.name = "b";
  EXPECT_TRUE(scaffold().is_new);
  request_.name.reset();
  EXPECT_EQ(refusal(), "multiple .dlm files found");
  request_.name = "a";
  EXPECT_EQ(scaffold().dlm_id, a.dlm_id);
}

TEST_F(ScaffoldTest, WritingAnewKeepsTheIdAndTheOldText) {
  const Scaffold first = scaffold();
  const std::string edited = read_file(document()) + "Own text.\n";
  write_file_atomic(document(), edited);
  request_.include = {"*.md"};
  request_.rescaffold = true;
  const Scaffold second = scaffold();
  EXPECT_TRUE(second.is_new);
  EXPECT_EQ(second.dlm_id, first.dlm_id);
  EXPECT_EQ(load_document(document()).frontmatter.training.sources->at(0).include,
            request_.include);
  EXPECT_EQ(read_file(document().string() + ".bak"), edited);
}

TEST_F(ScaffoldTest, RefusesWhatIsNoFolderAndNamesThatLeadOut) {
  request_.folder = folder_ / "missing";
  EXPECT_EQ(refusal(), "this is not a folder");
  request_.folder = folder_.path();
  for (const char* name : {"", "..", "a/b", "a\nb"}) {
    request_.name = name;
    EXPECT_THROW(scaffold(), Error) << name;
  }
}

}  // namespace
}  // namespace dlm
