// The gallery from the command line: listed, shown, and each of its documents trained on the
// bundled base and asked. The trainings are short: that a loss falls shows that a document can be
// learnt, not that it has been.
#include <gmock/gmock.h>

#include <sstream>

#include "bases/registry.h"
#include "cli_fixture.h"
#include "doc/gallery.h"

namespace dlm {
namespace {

using GalleryCommand = CliTest;

TEST_F(GalleryCommand, ListsNamesTitlesAndBases) {
  const ProgramResult result = run({"templates", "list"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(result.out.starts_with(
      "changelog                 Changelog lines from change notes  (smollm2-360m)\n"))
      << result.out;
  EXPECT_EQ(static_cast<size_t>(std::count(result.out.begin(), result.out.end(), '\n')),
            gallery().size());
}

TEST_F(GalleryCommand, ListsDescriptionsAsJson) {
  const Json all = parse_json(run({"templates", "list", "--json"}).out);
  ASSERT_EQ(all.size(), gallery().size());
  for (size_t i = 0; i < all.size(); ++i) {
    const Json& one = all.items()[i];
    std::vector<std::string> keys;
    for (const auto& [key, value] : one.members()) keys.push_back(key);
    EXPECT_THAT(keys, testing::ElementsAre("name", "title", "domain_tags", "recommended_base",
                                           "expected_steps", "expected_duration", "summary",
                                           "sample_prompts"));
    EXPECT_EQ(one.at("name").as_string(), gallery()[i].meta.name);
    EXPECT_NE(find_base(one.at("recommended_base").as_string()), nullptr);
  }
}

TEST_F(GalleryCommand, ShowsADocument) {
  const ProgramResult result = run({"templates", "show", "domain-kb"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, find_template("domain-kb").document);
  expect_refused({"templates", "show", "domain"}, 1,
                 "templates: there is no template 'domain'\nhint: the templates are changelog, "
                 "coding-tutor, domain-kb, meeting-notes-summarizer, personal-assistant, "
                 "regex-buddy, shell-one-liner, tool-use-example, writing-partner\n");
}

TEST_F(GalleryCommand, WithoutACommandPrintsItsHelp) {
  const ProgramResult result = run({"templates"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.out.find("list"), std::string::npos);
}

// The loss of every step, from the log of a run.
std::vector<double> losses_of(const fs::path& log) {
  std::vector<double> losses;
  std::istringstream in(read_file(log));
  for (std::string line; std::getline(in, line);) {
    const Json entry = parse_json(line);
    const Json* loss = entry.find("loss");
    if (loss && loss->is_number()) losses.push_back(loss->as_double());
  }
  return losses;
}

class TrainsAndAnswers : public CliTest, public testing::WithParamInterface<std::string> {};

TEST_P(TrainsAndAnswers, OnTheBundledBase) {
  options_.environment.erase("DLM_THREADS");
  const std::string path = document().string();
  std::string question = "Who keeps the light?";
  if (GetParam() == "lighthouse") {
    fs::copy_file(fs::path(DLM_SOURCE_ROOT) / "examples" / "lighthouse.dlm", path);
  } else {
    ASSERT_EQ(run({"init", path, "--template", GetParam(), "--base", "dlm-nano"}).exit_code, 0);
    question = find_template(GetParam()).meta.sample_prompts.front();
  }
  const ProgramResult trained = run({"train", path, "--max-steps", "5", "--json"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const Json result = parse_json(trained.out);
  const std::vector<double> losses = losses_of(result.at("log_path").as_string());
  ASSERT_EQ(losses.size(), 5u);
  EXPECT_LT(losses.back(), 0.96 * losses.front());
  const ProgramResult answered = run({"prompt", path, "--max-tokens", "16", "--", question});
  EXPECT_EQ(answered.exit_code, 0) << answered.err;
  EXPECT_FALSE(answered.out.empty());
}

INSTANTIATE_TEST_SUITE_P(Documents, TrainsAndAnswers,
                         testing::Values("changelog", "coding-tutor", "domain-kb", "lighthouse",
                                         "meeting-notes-summarizer", "personal-assistant",
                                         "regex-buddy", "shell-one-liner", "tool-use-example",
                                         "writing-partner"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace dlm
