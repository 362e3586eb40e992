// What flags and document make of an export, and what is refused.
#include "export/plan.h"

#include <gtest/gtest.h>

#include "doc/document.h"
#include "support/error.h"

namespace dlm {
namespace {

Frontmatter frontmatter(const std::string& more = "") {
  return parse_document(
             "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\n"
             "base_model: dlm-nano\n" +
                 more + "---\ntext\n",
             "notes.dlm")
      .frontmatter;
}
Frontmatter two_adapters() {
  return frontmatter("training:\n  adapters:\n    tone: {}\n    facts: {}\n");
}

std::string refusal(const ExportFlags& flags, const Frontmatter& f) {
  try {
    plan_export(flags, f);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    return e.message();
  }
  return "(accepted)";
}

TEST(ExportPlan, IsOneMergedFileForOllama) {
  const ExportPlan plan = plan_export({}, frontmatter());
  EXPECT_EQ(plan.target, ExportTarget::kOllama);
  EXPECT_EQ(plan.quant, Quant::kQ4_K_M);
  EXPECT_TRUE(plan.merged);
  EXPECT_TRUE(plan.wants_imatrix);
  EXPECT_EQ(plan.folder, "Q4_K_M-merged");
}

TEST(ExportPlan, GivesEveryFormAFolderOfItsOwn) {
  const auto folder = [](const auto& change, const Frontmatter& f) {
    ExportFlags flags;
    change(flags);
    return plan_export(flags, f).folder;
  };
  const Frontmatter one = frontmatter();
  EXPECT_EQ(folder([](ExportFlags& f) { f.adapter_form = true; }, one), "Q4_K_M");
  EXPECT_EQ(folder([](ExportFlags& f) { f.quant = "Q8_0"; }, one), "Q8_0-merged");
  EXPECT_EQ(folder([](ExportFlags& f) { f.target = "llama-server"; }, one), "Q4_K_M-llama-server");
  EXPECT_EQ(folder([](ExportFlags& f) { f.target = "llama-server", f.merged = true; }, one),
            "Q4_K_M-llama-server-merged");
  EXPECT_EQ(folder([](ExportFlags& f) { f.target = "vllm"; }, one), "vllm");
  EXPECT_EQ(folder([](ExportFlags& f) { f.target = "mlx-serve"; }, one), "mlx-serve");
  EXPECT_EQ(folder([](ExportFlags& f) { f.target = "hf"; }, one), "hf");
  EXPECT_EQ(folder([](ExportFlags& f) { f.adapter = "tone"; }, two_adapters()),
            "Q4_K_M-merged-tone");
  EXPECT_EQ(folder([](ExportFlags& f) { f.adapter_mix = "tone:0.5, facts:1"; }, two_adapters()),
            "Q4_K_M-merged-mix-tone-0.5-facts-1.0");
}

TEST(ExportPlan, NamesOfLargeMixesAreShort) {
  std::string adapters, mix;
  for (char c = 'a'; c < 'i'; ++c) {
    const std::string name(32, c);
    adapters += "    " + name + ": {}\n";
    mix += (mix.empty() ? "" : ",") + name + ":0.125";
  }
  ExportFlags flags;
  flags.adapter_mix = mix;
  const Frontmatter f = frontmatter("training:\n  adapters:\n" + adapters);
  const std::string folder = plan_export(flags, f).folder;
  EXPECT_EQ(folder.find("Q4_K_M-merged-mix-8-"), 0u) << folder;
  EXPECT_LE(folder.size(), 40u);
  flags.adapter_mix = mix + "0";
  EXPECT_EQ(plan_export(flags, f).folder, folder) << "the same weight";
  flags.adapter_mix = mix + "1";
  EXPECT_NE(plan_export(flags, f).folder, folder);
}

TEST(ExportPlan, TakesTheQuantOfTheDocument) {
  EXPECT_EQ(plan_export({}, frontmatter("export:\n  default_quant: Q6_K\n")).quant, Quant::kQ6_K);
}

TEST(ExportPlan, RefusesWhatDoesNotGoTogether) {
  const auto with = [](const auto& change) {
    ExportFlags flags;
    change(flags);
    return flags;
  };
  const Frontmatter one = frontmatter();
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.draft = "x", f.no_draft = true; }), one),
            "--draft and --no-draft exclude each other");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.adapter = "a", f.adapter_mix = "a:1"; }), one),
            "--adapter and --adapter-mix exclude each other");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.target = "olama"; }), one),
            "there is no target \"olama\"");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.quant = "q4_k_m"; }), one),
            "there is no quant \"q4_k_m\"");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.quant = "F32"; }), one),
            "there is no quant \"F32\"");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.adapter_form = f.dequantize = true; }), one),
            "--dequantize goes with a merged export");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.adapter_form = f.merged = true; }), one),
            "--merged and --adapter-form exclude each other");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.adapter = "tone"; }), one),
            "--adapter goes with a document of several adapters");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.adapter = "ton"; }), two_adapters()),
            "the document declares no adapter \"ton\"");
  EXPECT_EQ(refusal({}, two_adapters()), "the document has several adapters: tone, facts");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.adapter_mix_method = "svd"; }), one),
            "--adapter-mix-method goes with --adapter-mix");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.emit_sway_json = true; }), one),
            "--emit-sway-json is not offered");
  EXPECT_EQ(refusal(with([](ExportFlags& f) { f.name = "a b"; }), one),
            "\"a b\" is no name of an Ollama model");
}

TEST(ExportPlan, ReadsMixes) {
  const std::vector<std::string> names = {"tone", "facts"};
  const auto mix = parse_mix(" tone : 0.7 ,facts:2", names);
  ASSERT_EQ(mix.size(), 2u);
  EXPECT_EQ(mix[0].adapter, "tone");
  EXPECT_EQ(mix[0].weight, 0.7);
  EXPECT_EQ(mix[1].weight, 2.0);
  for (const char* bad : {"", "tone", "tone:", "tone:x", "tone:-1", "tone:nan", "tone:inf",
                          "tone:1,tone:1", "other:1", "tone:1,", "tone:0,facts:0", "tone:1 x"}) {
    EXPECT_THROW(parse_mix(bad, names), Error) << bad;
  }
}

TEST(ExportPlan, KnowsNamesOfOllamaModels) {
  for (const char* good : {"notes", "me/notes:v1", "a.b-c_d:latest"}) check_ollama_name(good);
  for (const char* bad : {"", "/x", "a/", "a:", ".a", "a..b", "a b", "a/b/c", "ä"}) {
    EXPECT_THROW(check_ollama_name(bad), Error) << bad;
  }
}

TEST(ExportPlan, NamesFlagsWithoutAMeaning) {
  ExportFlags flags;
  flags.target = "mlx-serve";
  flags.quant = "Q8_0";
  flags.no_imatrix = true;
  EXPECT_EQ(plan_export(flags, frontmatter()).ignored,
            (std::vector<std::string>{"--quant", "--no-imatrix"}));
}

}  // namespace
}  // namespace dlm
