// dlm init beyond the plain document: templates, bases that see or hear, licences, ids that stay.
#include "cli_fixture.h"
#include "doc/document.h"

namespace dlm {
namespace {

class InitCommand : public CliTest {
 protected:
  // init of notes.dlm with these flags, and success.
  Document make(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"init", document().string()});
    const ProgramResult result = run(flags);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "");
    err_ = shown(result.err);
    return load_document(document());
  }
  Json manifest_of(const Document& made) const {
    return parse_json(read_file(home() / "store" / made.frontmatter.dlm_id / "manifest.json"));
  }
  std::string err_;
};

TEST_F(InitCommand, StartsFromATemplateOnItsOwnBase) {
  const Document made = make({"--template", "regex-buddy"});
  EXPECT_EQ(made.frontmatter.base_model, "qwen2.5-coder-1.5b");
  EXPECT_EQ(manifest_of(made).at("base_model").as_string(), "qwen2.5-coder-1.5b");
  EXPECT_NE(err_.find("init: wrote HERE/notes.dlm\n"
                      "template: regex-buddy, Regular expressions, written and explained "
                      "(qwen2.5-coder-1.5b)\n"),
            err_.npos)
      << err_;
  // Another one has another id.
  const fs::path second = folder_ / "second.dlm";
  run({"init", second.string(), "--template", "regex-buddy"});
  EXPECT_NE(load_document(second).frontmatter.dlm_id, made.frontmatter.dlm_id);
}

TEST_F(InitCommand, TakesTheBaseThatIsAskedForWithATemplateToo) {
  const Document made = make({"--template", "changelog", "--base", kTinyBaseKey});
  EXPECT_EQ(made.frontmatter.base_model, kTinyBaseKey);
  EXPECT_EQ(manifest_of(made).at("base_model").as_string(), kTinyBaseKey);
}

TEST_F(InitCommand, RefusesATemplateThatIsNotThere) {
  expect_refused({"init", document().string(), "--template", "changelogs"}, 1,
                 "init: there is no template 'changelogs'\nhint: did you mean 'changelog'?\n");
}

TEST_F(InitCommand, KeepsTheIdOfADocumentThatIsBrokenElsewhere) {
  write_document("::unknown::\n", "bad_key: 1\n");
  EXPECT_EQ(make({"--template", "changelog", "--force"}).frontmatter.dlm_id, kTestId);
  write_file_atomic(document(), "no document at all\n");
  EXPECT_NE(make({"--force"}).frontmatter.dlm_id, kTestId);
}

TEST_F(InitCommand, AsksForConsentToALicence) {
  expect_refused(
      {"init", document().string(), "--base", "llama-3.2-1b"}, 1,
      "warning: base \"llama-3.2-1b\" is not on this machine; `dlm bases pull llama-3.2-1b` "
      "fetches it\n"
      "license: the licence of base llama-3.2-1b is not accepted\n"
      "hint: read https://www.llama.com/llama3_2/license/, then say "
      "--i-accept-license\n");
  const Document made = make({"--base", "llama-3.2-1b", "--i-accept-license"});
  const Json manifest = manifest_of(made);
  const Json& license = manifest.at("license_acceptance");
  EXPECT_EQ(license.at("via").as_string(), "cli_flag");
  EXPECT_EQ(license.at("license_url").as_string(), "https://www.llama.com/llama3_2/license/");
}

TEST_F(InitCommand, RecordsConsentInAStoreThatGoesOn) {
  const Document made = make({});
  EXPECT_TRUE(manifest_of(made).at("license_acceptance").is_null());
  make({"--base", "gemma-2-2b-it", "--i-accept-license", "--force"});
  EXPECT_EQ(manifest_of(made).at("license_acceptance").at("license_spdx").as_string(), "Gemma");
}

TEST_F(InitCommand, WritesDocumentsForBasesThatSeeOrHear) {
  const Document seen = make({"--multimodal", "--i-accept-license"});
  EXPECT_EQ(seen.frontmatter.base_model, "paligemma-3b-mix-224");
  EXPECT_EQ(seen.sections.at(1).media_path, "figures/your-image.png");
  const Document heard = make({"--audio", "--force"});
  EXPECT_EQ(heard.frontmatter.base_model, "qwen2-audio-7b-instruct");
  EXPECT_EQ(heard.sections.at(1).media_path, "clips/your-clip.wav");
  // They parse, but no decoder here can train them.
  EXPECT_EQ(
      shown(run({"train", document().string()}).err),
      "base_model: base \"qwen2-audio-7b-instruct\" is an audio-language base, and this version "
      "runs bases of text only\n"
      "hint: the document stays as it is; choose a text base to train what it says in words\n");
  const ProgramResult other =
      run({"train", document().string(), "--base", kTinyBaseKey, "--max-steps", "1"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(shown(other.err), std::string("train: HERE/notes.dlm:11:1: base ") + kTinyBaseKey +
                                  " reads text only, and this is an audio section\n"
                                  "hint: remove the section, or write what it shows as prose\n");
}

TEST_F(InitCommand, RefusesABaseOfAnotherKind) {
  expect_refused({"init", document().string(), "--audio", "--base", "qwen2.5-1.5b"}, 2,
                 "init: base qwen2.5-1.5b is a text base; this document needs an audio-language "
                 "base\nhint: leave --base out for one that does\n");
  expect_refused({"init", document().string(), "--base", "qwen2-vl-2b-instruct"}, 2,
                 "init: base qwen2-vl-2b-instruct is a vision-language base; this document needs a "
                 "text base\n"
                 "hint: --multimodal and --audio write documents for bases that see or hear\n");
}

TEST_F(InitCommand, RefusesFlagsThatExcludeEachOther) {
  for (const std::vector<std::string>& flags : {std::vector<std::string>{"--multimodal", "--audio"},
                                                {"--multimodal", "--template", "changelog"},
                                                {"--audio", "--template", "changelog"}}) {
    std::vector<std::string> arguments = {"init", document().string()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(run(arguments).exit_code, 2);
    EXPECT_FALSE(fs::exists(document()));
  }
}

}  // namespace
}  // namespace dlm
