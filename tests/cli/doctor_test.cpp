// dlm doctor: facts without a measurement, the plan of a document, and what would be refused.
#include <gmock/gmock.h>

#include "cli_fixture.h"
#include "doc/document.h"
#include "engine/cpu/isa.h"
#include "train/machine.h"
#include "train/roofs.h"

namespace dlm {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class DoctorTest : public CliTest {
 protected:
  DoctorTest() { options_.environment["HF_HOME"] = (folder_ / "hf").string(); }

  std::string text(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), "doctor");
    const auto before = files_of(folder_.path());
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(files_of(folder_.path()), before);  // it writes nothing
    return shown(result.out);
  }
  Json json(std::vector<std::string> arguments = {}) {
    arguments.push_back("--json");
    return parse_json(text(arguments));
  }
  // Of the wanted base and the document.
  std::vector<std::string> refused(const Json& report) {
    std::vector<std::string> lines;
    for (const Json& one : report.at("refusals").items()) {
      lines.push_back(one.at("kind").as_string() + ": " + one.at("message").as_string());
    }
    EXPECT_EQ(report.at("would_train").as_bool(), lines.empty());
    EXPECT_EQ(report.at("plan").is_null(), !lines.empty());
    return lines;
  }
  std::vector<std::string> refused_document(const std::string& frontmatter,
                                            const std::string& body) {
    write_document(body, frontmatter);
    return refused(json({document().string(), "--base", kTinyBaseKey}));
  }
};

TEST_F(DoctorTest, TellsTheMachine) {
  const std::string report = text();
  for (const char* label : {"Backend:        cpu (", "CPU cores:      ", "Instructions:   ",
                            "RAM:  ", "Disk:  ", "GPUs:  ", "Determinism:    strong\n",
                            "Telemetry:      none: this program never connects by itself\n",
                            "Versions:       dlm ", "Platform:       Linux "}) {
    EXPECT_THAT(report, HasSubstr(label));
  }
  EXPECT_THAT(report, HasSubstr("Roofs:          not measured: run `dlm doctor --bench`\n"));
  EXPECT_THAT(report, HasSubstr("free for stores (HERE/home)\n"));
  EXPECT_THAT(report, HasSubstr("free for bases (HERE/hf/hub)\n"));
}

TEST_F(DoctorTest, TellsTheMachineToPrograms) {
  const Json report = json();
  const Json& machine = report.at("capabilities");
  EXPECT_EQ(machine.at("backend").as_string(), "cpu");
  EXPECT_EQ(machine.at("threads").as_int(), 1);
  EXPECT_EQ(machine.at("instruction_set").as_string(), isa_name(best_isa_tier()));
  EXPECT_FALSE(machine.at("instruction_set_forced").as_bool());
  EXPECT_GT(machine.at("ram_gb").as_double(), 0);
  EXPECT_EQ(machine.at("disk").size(), 2u);
  EXPECT_EQ(machine.at("determinism_class").as_string(), "strong");
  for (const char* key :
       {"sm", "vram_gb", "torch_version", "cuda_version", "roofs", "roofs_note"}) {
    EXPECT_TRUE(machine.at(key).is_null()) << key;
  }
  EXPECT_TRUE(report.at("plan").is_null());
  EXPECT_TRUE(report.at("plan_error").is_null());
}

TEST_F(DoctorTest, SaysWhichInstructionSetIsForced) {
  options_.environment["DLM_ISA"] = "scalar";
  EXPECT_THAT(text(), HasSubstr("Instructions:   scalar, forced by DLM_ISA (best here: "));
}

// oneDNN, told to, writes a line for each product that it runs.
TEST_F(DoctorTest, MultipliesNothingWithoutADocument) {
  if (best_isa_tier() < IsaTier::kAvx512) GTEST_SKIP() << "products here are not oneDNN's";
  options_.environment["DLM_ISA"] = "avx512";
  options_.environment["DNNL_VERBOSE"] = "1";
  EXPECT_THAT(run({"doctor"}).out, Not(HasSubstr("verbose,exec")));
  // A document needs a rate for its time: it is measured, unless there is a record.
  write_document(kPairs);
  const std::vector<std::string> plan = {"doctor", document().string(), "--base", kTinyBaseKey};
  EXPECT_THAT(run(plan).out, HasSubstr("verbose,exec"));
  write_roofs(home(),
              {{read_processor().name, "avx512", 1}, {{"bf16", 80}}, 9, "2026-04-18", "bench"});
  EXPECT_THAT(run(plan).out, Not(HasSubstr("verbose,exec")));
}

TEST_F(DoctorTest, ShowsTheRoofsMeasuredLast) {
  const std::string tier = isa_name(best_isa_tier());
  const Roofs roofs{{read_processor().name, tier, 1},
                    {{"bf16", 812.4}, {"fp32", 120}},
                    9.75,
                    "2026-04-18T10:00:00",
                    "bench"};
  write_roofs(home(), roofs);
  EXPECT_THAT(text(), HasSubstr("Roofs:          bf16 812 GFLOP/s, fp32 120 GFLOP/s, reading 9.8 "
                                "GB/s; measured 2026-04-18T10:00:00\n"));
  EXPECT_EQ(json().at("capabilities").at("roofs").at("gflops").at("bf16").as_double(), 812.4);
  options_.environment["DLM_THREADS"] = "2";
  EXPECT_THAT(text(), HasSubstr("Roofs:          not measured: run `dlm doctor --bench` (those in "
                                "HERE/home/roofs.json were measured with 1 thread and are not "
                                "used)\n"));
  write_file_atomic(roofs_path(home()), "{\"version\": 1");
  EXPECT_THAT(text(), HasSubstr("HERE/home/roofs.json cannot be read and is not used: "));
  EXPECT_TRUE(json().at("capabilities").at("roofs").is_null());
}

TEST_F(DoctorTest, TellsThePlanOfADocumentAndEveryBase) {
  write_document(kPairs);
  const std::string report = text({document().string()});
  EXPECT_THAT(report, HasSubstr("Document HERE/notes.dlm: 2 pairs, 0 texts; base dlm-nano: "));
  EXPECT_THAT(report, HasSubstr("\nPlan:\n  adapter      lora, rank 8, "));
  EXPECT_THAT(report, HasSubstr("\nNothing would be refused.\n"));
  EXPECT_THAT(report, HasSubstr("measured just now in a moment"));
  EXPECT_THAT(report, HasSubstr("\ndlm-nano * "));
  EXPECT_THAT(report, HasSubstr("would train once fetched (0.27 GB)\n"));
  EXPECT_THAT(report, HasSubstr("refused: media\n"));
}

TEST_F(DoctorTest, ThePlanInJsonIsThatOfADryRun) {
  write_document(kPairs);
  const Json report = json({document().string(), "--base", kTinyBaseKey});
  EXPECT_THAT(refused(report), IsEmpty());
  EXPECT_EQ(report.at("bases").size(), 1u);
  const ProgramResult dry = run({"train", document().string(), "--dry-run", "--json"});
  ASSERT_EQ(dry.exit_code, 0) << dry.err;
  const Json plan = parse_json(dry.out).at("plan");
  for (const auto& [key, value] : plan.members()) {
    if (key.starts_with("est_")) continue;
    EXPECT_TRUE(report.at("plan").at(key) == value) << key;
  }
  EXPECT_EQ(report.at("plan").at("effective_batch_size").as_int(), 2);
  EXPECT_EQ(report.at("plan").at("world_size").as_int(), 1);
  EXPECT_FALSE(report.at("plan").at("use_qlora").as_bool());
}

TEST_F(DoctorTest, GalleryDocumentsWouldTrainOnTheBundledBaseAndOnTheirOwnOnceItIsThere) {
  options_.environment.erase("DLM_BASES");
  const ProgramResult listed = run({"templates", "list", "--json"});
  ASSERT_EQ(listed.exit_code, 0) << listed.err;
  const Json templates = parse_json(listed.out);
  ASSERT_GT(templates.size(), 3u);
  for (const Json& one : templates.items()) {
    const std::string name = one.at("name").as_string();
    const fs::path path = folder_ / (name + ".dlm");
    ASSERT_EQ(run({"init", path.string(), "--template", name, "--i-accept-license"}).exit_code, 0);
    const Json on_nano = json({path.string(), "--base", "dlm-nano"});
    EXPECT_THAT(refused(on_nano), IsEmpty()) << name;
    EXPECT_GT(on_nano.at("bases").items()[0].at("est_peak_gb").as_double(), 0) << name;
    const std::string own = load_document(path).frontmatter.base_model;
    const Json on_own = json({path.string(), "--base", own});
    for (const Json& refusal : on_own.at("refusals").items()) {
      EXPECT_THAT(refusal.at("kind").as_string(), AnyOf("absent", "gated", "memory", "disk"))
          << name;
    }
  }
}

TEST_F(DoctorTest, TellsWhatWouldBeRefusedAndWhy) {
  EXPECT_THAT(refused_document("", "Some prose.\n"), IsEmpty());
  EXPECT_THAT(refused_document("", ""),
              ElementsAre("empty: there is nothing to train: the document has no prose and no "
                          "pairs"));
  EXPECT_THAT(refused_document("training:\n  precision: fp16\n", kPairs),
              ElementsAre("setting: training.precision fp16 is not supported on a CPU"));
  EXPECT_THAT(refused_document("training:\n  optimizer: adamw_bnb_8bit\n", kPairs),
              ElementsAre(HasSubstr("setting: training.optimizer: adamw_bnb_8bit")));
  EXPECT_THAT(refused_document("", std::string(kPairs) + "\n::image path=\"a.png\" alt=\"a\"::\n"),
              ElementsAre("media: base dlm-nano reads text only, and this is an image section"));
}

TEST_F(DoctorTest, TellsWhatIsInTheWayOfABase) {
  write_document(kPairs);
  EXPECT_THAT(refused(json({document().string(), "--base", "llama-3.2-1b"})),
              ElementsAre("absent: base \"llama-3.2-1b\" is not on this machine",
                          "gated: the hub gives base llama-3.2-1b to known accounts only",
                          "licence: the licence of base llama-3.2-1b is not accepted"));
  EXPECT_THAT(refused(json({document().string(), "--base", "smollm"})),
              ElementsAre(HasSubstr("unknown: ")));
  EXPECT_THAT(refused(json({document().string(), "--base", "internvl2-2b"})),
              ElementsAre(HasSubstr("media: base \"internvl2-2b\" is a vision-language base")));
  EXPECT_THAT(refused(json({document().string(), "--base", "hf:org/name"})),
              ElementsAre("absent: base \"hf:org/name\" is not on this machine"));
  EXPECT_THAT(
      text({"--base", "llama-3.2-1b"}),
      HasSubstr("\nBase llama-3.2-1b: would be refused:\n  absent: base \"llama-3.2-1b\" is "
                "not on this machine\n    `dlm bases pull llama-3.2-1b` fetches it"));
  EXPECT_THAT(text({"--base", kTinyBaseKey}), HasSubstr("Base dlm-nano: nothing is in its way"));
}

TEST_F(DoctorTest, ADocumentThatCannotBeReadIsAnErrorWithItsPlace) {
  expect_refused({"doctor", document().string()}, 1,
                 "doctor: HERE/notes.dlm: cannot read the file: No such file or directory\n"
                 "hint: check the path\n");
  write_document("::instruction::\n### Q\nWithout an answer\n");
  const ProgramResult result = run({"doctor", document().string(), "--json"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(shown(result.err), HasSubstr("parse: HERE/notes.dlm:"));
}

TEST_F(DoctorTest, MeasuringIsNotForADocument) {
  expect_refused({"doctor", document().string(), "--bench"}, 2,
                 "doctor: --bench measures a base, not a document\n"
                 "hint: leave the document out; --base names whose shapes to measure\n");
}

}  // namespace
}  // namespace dlm
