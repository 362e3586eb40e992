// Bad input, each kind with its one line of error, its place, its hint and its exit code; and
// everything on the disk as it was.
#include <sys/mount.h>

#include "cli_fixture.h"

namespace dlm {
namespace {

class BadInput : public CliTest {
 protected:
  // Trains this text and expects these two lines.
  void expect_text_refused(const std::string& text, const std::string& expected) {
    write_file_atomic(document(), text);
    for (const char* command : {"train", "show", "prompt"}) {
      std::vector<std::string> arguments = {command, document().string()};
      if (std::string_view(command) == "prompt") arguments.push_back("q");
      expect_refused(arguments, 1, expected);
    }
  }
  // A base of its own that a test may break.
  fs::path own_base() {
    const fs::path bases = folder_ / "bases";
    if (!fs::exists(bases)) write_tiny_base(bases / kTinyBaseKey);
    options_.environment["DLM_BASES"] = bases.string();
    return bases / kTinyBaseKey;
  }
  void expect_train_refused(const std::string& expected) {
    expect_refused({"train", document().string()}, 1, expected);
  }
};

TEST_F(BadInput, NotADocument) {
  expect_text_refused("hello\n",
                      "parse: HERE/notes.dlm:1:1: expected '---' on line 1 to open frontmatter, "
                      "got 'hello'\n"
                      "hint: 'dlm init FILE.dlm' writes a document to start from\n");
}

TEST_F(BadInput, ABinaryFile) {
  expect_text_refused(std::string("\x7f"
                                  "ELF\x02\x01\x00\x00\x00",
                                  9),
                      "parse: HERE/notes.dlm: this is a binary file, not a .dlm document\n"
                      "hint: name a .dlm text file\n");
}

TEST_F(BadInput, AnEmptyFile) {
  expect_text_refused("",
                      "parse: HERE/notes.dlm:1:1: the document is empty\n"
                      "hint: 'dlm init FILE.dlm' writes a document to start from\n");
}

TEST_F(BadInput, BrokenYaml) {
  expect_text_refused(
      "---\ndlm_id: [1\n---\n",
      "parse: HERE/notes.dlm:2:11: invalid YAML: while parsing a flow sequence: did not find "
      "expected ',' or ']'\n"
      "hint: close the list with ] or put a comma between its items\n");
}

TEST_F(BadInput, AnUnknownKey) {
  expect_text_refused(document_text("trainning:\n  seed: 1\n", "Text.\n"),
                      "parse: HERE/notes.dlm:5:1: trainning: not a known key\n"
                      "hint: did you mean 'training'?\n");
  expect_text_refused(document_text("training:\n  lora_rr: 3\n", "Text.\n"),
                      "parse: HERE/notes.dlm:6:3: training.lora_rr: not a known key\n"
                      "hint: did you mean 'lora_r'?\n");
}

TEST_F(BadInput, AWrongType) {
  expect_text_refused(document_text("training:\n  lora_r: many\n", "Text.\n"),
                      "parse: HERE/notes.dlm:6:11: training.lora_r: must be an integer, got "
                      "'many'\nhint: write an integer from 1 to 256\n");
}

TEST_F(BadInput, AnUnknownFence) {
  expect_text_refused(document_text("", "::instrction::\n### Q\nq\n\n### A\na\n"),
                      "parse: HERE/notes.dlm:6:1: unknown section fence '::instrction::'; the "
                      "types are prose, instruction, preference, image, audio\n"
                      "hint: did you mean 'instruction'?\n");
}

TEST_F(BadInput, ControlCharactersDoNotReachTheTerminal) {
  const fs::path path = folder_ / "a\033[31mb\nc.dlm";
  const ProgramResult result = run({"train", path.string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err.find('\033'), std::string::npos);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 2) << result.err;
}

TEST_F(BadInput, AQuestionWithoutItsAnswer) {
  write_document("::instruction::\n### Q\nq\n");
  expect_train_refused(
      "parse: HERE/notes.dlm:9:1: ### Q without matching `### A` at end of section\n"
      "hint: write '### Q', the question, '### A' and the answer, each header alone\n");
}

TEST_F(BadInput, AMissingFileAndAFolder) {
  expect_train_refused(
      "train: HERE/notes.dlm: cannot read the file: No such file or directory\n"
      "hint: check the path\n");
  fs::create_directory(document());
  expect_train_refused(
      "scaffold: HERE/notes.dlm: this is the first run on the folder, which needs a base model\n"
      "hint: name one: dlm train HERE/notes.dlm --base dlm-nano\n");
}

TEST_F(BadInput, AnEmptyDocumentIsNothingToTrain) {
  write_document("\n");
  const ProgramResult result = run({"train", document().string()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("no-op: nothing to train: ")) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(BadInput, AnUnknownBase) {
  write_document("Text.\n");
  expect_refused({"train", document().string(), "--base", "smolm2-135m"}, 1,
                 "base_model: base \"smolm2-135m\" is not known\n"
                 "hint: did you mean \"smollm2-135m\"?\n");
  expect_refused({"init", (folder_ / "new.dlm").string(), "--base", "dlm-nanoo"}, 1,
                 "base_model: base \"dlm-nanoo\" is not known\nhint: did you mean \"dlm-nano\"?\n");
}

TEST_F(BadInput, AKnownBaseThatIsNotHere) {
  write_document("Text.\n");
  const ProgramResult result = run({"train", document().string(), "--base", "smollm2-360m"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(
      result.err.starts_with("base_model: base \"smollm2-360m\" is not on this machine\n"
                             "hint: `dlm bases pull smollm2-360m` fetches it (0.72 GB) "))
      << result.err;
}

TEST_F(BadInput, MissingAndTruncatedWeights) {
  write_document(kPairs);
  const fs::path weights = own_base() / "model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) - 100);
  const ProgramResult cut = run({"train", document().string()});
  EXPECT_EQ(cut.exit_code, 1);
  EXPECT_TRUE(shown(cut.err).starts_with("base_model: HERE/bases/dlm-nano/model.safetensors: "))
      << cut.err;
  EXPECT_TRUE(
      cut.err.ends_with("\nhint: the file is cut off, as after an interrupted download or "
                        "copy: fetch it again\n"))
      << cut.err;
  fs::remove(weights);
  const ProgramResult gone = run({"train", document().string()});
  EXPECT_EQ(gone.exit_code, 1);
  EXPECT_TRUE(
      shown(gone.err).starts_with("base_model: HERE/bases/dlm-nano: the folder has no "
                                  "model.safetensors and no index of shards\nhint: "))
      << gone.err;
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(BadInput, AMissingTokenizerFile) {
  write_document(kPairs);
  fs::remove(own_base() / "tokenizer_config.json");
  expect_train_refused(
      "base_model: HERE/bases/dlm-nano/tokenizer_config.json: the base has no "
      "tokenizer_config.json\nhint: copy it from where the weights came from; a base needs "
      "config.json, model.safetensors, tokenizer.json and tokenizer_config.json\n");
}

TEST_F(BadInput, ATokenizerThatLacksWhatTheTemplateNeeds) {
  write_document(kPairs);
  write_file_atomic(own_base() / "tokenizer_config.json", tiny_tokenizer_config("<|eot|>"));
  expect_train_refused(
      "base_model: HERE/bases/dlm-nano/tokenizer_config.json: eos_token \"<|eot|>\" is not in "
      "tokenizer.json\n"
      "hint: tokenizer.json and tokenizer_config.json do not belong together\n");
  // A template that writes a token which the tokenizer does not know ends turns with mere text.
  std::string other = kTinyTemplate;
  other.replace(other.find("<|im_end|>"), 10, "<|turn_end|>");
  write_file_atomic(own_base() / "tokenizer_config.json",
                    tiny_tokenizer_config("<|endoftext|>", other));
  expect_train_refused(
      "base_model: HERE/bases/dlm-nano: the chat template does not end an answer with a control "
      "token\nhint: a model trained with it would never stop; use a base whose template ends its "
      "turns; --skip-probes trains prose all the same\n");
}

TEST_F(BadInput, ABaseWithoutAChatTemplate) {
  write_document(kPairs);
  write_file_atomic(own_base() / "tokenizer_config.json",
                    tiny_tokenizer_config("<|endoftext|>", ""));
  const ProgramResult result = run({"train", document().string(), "--dry-run"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(shown(result.err)
                .find("warning: HERE/bases/dlm-nano: the base has no chat template; "
                      "conversations are written in dlm's own, 'chatml'\n"),
            std::string::npos)
      << result.err;
}

TEST_F(BadInput, APairThatIsTooLong) {
  write_document("::instruction::\n### Q\nq\n\n### A\n" + std::string(2000, 'x') + "\n");
  const ProgramResult result = run({"train", document().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(shown(result.err).starts_with("train: HERE/notes.dlm:7:1: this pair has "))
      << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 2) << result.err;
  EXPECT_FALSE(fs::exists(home()));
}

TEST_F(BadInput, ADamagedManifestIsShownAndKept) {
  write_document(kPairs);
  train_shortly();
  write_file_atomic(store() / "manifest.json", "{");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"show", document().string()}, {"train", document().string()}}) {
    const auto before = files_of(home());
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(shown(result.err)
                    .starts_with("store: HERE/home/store/" + std::string(kTestId) +
                                 "/manifest.json:1:2: manifest is corrupt: "))
        << result.err;
    EXPECT_EQ(files_of(home()), before);
  }
}

TEST_F(BadInput, ADamagedAdapterIsNamed) {
  write_document(kPairs);
  train_shortly();
  const fs::path weights = store() / "adapter/versions/v0001/adapter_model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) / 2);
  const ProgramResult result = run({"prompt", document().string(), "q"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("adapter_model.safetensors"), std::string::npos) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 2) << result.err;
}

TEST_F(BadInput, AFileThatMayNotGrow) {
  write_document(kPairs);
  train_shortly();
  const auto before = files_of(home());
  options_.max_file_bytes = 4096;
  const ProgramResult result = run({"train", document().string(), "--max-steps", "1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("File too large"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("\nhint: "), std::string::npos) << result.err;
  EXPECT_EQ(files_of(home()), before);
}

// A file system of a given size; skipped where the test may not mount one.
TEST_F(BadInput, AFullDisk) {
  const fs::path disk = folder_ / "disk";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=24m") != 0) {
    GTEST_SKIP() << "skipped: no file system can be mounted here";
  }
  struct Unmount {
    fs::path path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{disk};
  options_.environment["DLM_HOME"] = disk.string();
  write_document(kPairs);
  train_shortly();
  const auto before = files_of(disk);
  // Little room: refused before any work.
  write_file_atomic(disk / "filler", std::string(16 << 20, 'x'));
  auto expected = before;
  expected["filler"] = sha256_file_hex(disk / "filler");
  const ProgramResult result = run({"train", document().string(), "--max-steps", "1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("of disk, "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("\nhint: free some space, or put the store elsewhere with --home\n"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(files_of(disk), expected);
}

}  // namespace
}  // namespace dlm
