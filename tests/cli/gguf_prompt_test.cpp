// Exported files at the command line: asked without document, store or base, and refused by name.
#include "cli_fixture.h"
#include "export/gguf_model.h"

namespace dlm {
namespace {

class GgufPromptTest : public CliTest {
 protected:
  GgufPromptTest() {
    // The tier that computes the base in f32 too.
    options_.environment["DLM_ISA"] = "scalar";
    GgufModelRequest request;
    request.base = shared_bases() / kTinyBaseKey;
    request.quant = Quant::kBF16;
    request.name = "tiny";
    request.out = file();
    Device device(1);
    write_gguf_model(request, device);
  }
  fs::path file() const { return folder_ / "tiny.gguf"; }
};

TEST_F(GgufPromptTest, AnswersAsTheBaseThatItWasMadeFrom) {
  write_document(kPairs);
  const ProgramResult base = run({"prompt", document().string(), "What swims?", "--base-only",
                                  "--max-tokens", "12", "--json"});
  ASSERT_EQ(base.exit_code, 0) << base.err;
  fs::remove(document());
  options_.environment.erase("DLM_BASES");
  const ProgramResult ours =
      run({"prompt", "--gguf", file().string(), "What swims?", "--max-tokens", "12", "--json"});
  ASSERT_EQ(ours.exit_code, 0) << ours.err;
  const Json wanted = parse_json(base.out);
  const Json json = parse_json(ours.out);
  for (const char* key : {"answer", "prompt_tokens", "answer_tokens", "stopped"}) {
    EXPECT_EQ(json.at(key), wanted.at(key)) << key;
  }
  EXPECT_EQ(json.at("gguf").as_string(), file().string());
  EXPECT_TRUE(json.at("adapter").is_null());
  EXPECT_FALSE(fs::exists(home()));

  options_.input = "What swims?\n";
  const ProgramResult streamed = run({"prompt", "--gguf", file().string(), "--max-tokens", "12"});
  EXPECT_EQ(streamed.out, wanted.at("answer").as_string() + "\n");
}

TEST_F(GgufPromptTest, RefusesWhatDoesNotGoTogether) {
  const std::string f = file().string();
  expect_refused({"prompt", "--gguf", f, "a", "b"}, 2,
                 "error: with --gguf there is no document\n"
                 "  hint: write: dlm prompt --gguf FILE QUESTION\n");
  expect_refused({"prompt", "--gguf", f, "a", "--weights", "int8"}, 2,
                 "error: --weights does not go with --gguf\n"
                 "  hint: the file says how its weights are held\n");
  expect_refused({"prompt"}, 2,
                 "error: path is required\n"
                 "  hint: name the document, or an exported file with --gguf\n");
  expect_refused({"prompt", document().string(), "a", "--lora", "x.gguf"}, 2,
                 "error: --lora is for --gguf\n"
                 "  hint: a document's own adapter is used without it\n");
  expect_refused({"doctor", "--gguf", f}, 2,
                 "error: --gguf is for --bench\n"
                 "  hint: write --bench --gguf FILE\n");
}

TEST_F(GgufPromptTest, RefusesFilesThatAreNoModel) {
  EXPECT_EQ(run({"prompt", "--gguf", (folder_ / "none.gguf").string(), "a"}).exit_code, 1);
  write_file_atomic(folder_ / "text.gguf", "no such thing");
  const ProgramResult text = run({"prompt", "--gguf", (folder_ / "text.gguf").string(), "a"});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_NE(text.err.find("text.gguf"), std::string::npos);
  const std::string whole = read_file(file());
  write_file_atomic(folder_ / "half.gguf", std::string_view(whole).substr(0, whole.size() / 2));
  EXPECT_EQ(run({"prompt", "--gguf", (folder_ / "half.gguf").string(), "a"}).exit_code, 1);
  const ProgramResult lora =
      run({"prompt", "--gguf", file().string(), "--lora", file().string(), "a"});
  EXPECT_EQ(lora.exit_code, 1);
  EXPECT_NE(lora.err.find("the file holds no LoRA adapter"), std::string::npos);
}

}  // namespace
}  // namespace dlm
