// Making a base: the same bytes however it is run, and a folder that everything else can use.
#include "train/pretrain.h"

#include <gtest/gtest.h>

#include <thread>

#include "bases/locate.h"
#include "data/chat_format.h"
#include "infer/session.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/interrupt.h"
#include "support/text.h"
#include "temporary_folder.h"
#include "train/corpus.h"

namespace dlm {
namespace {

class PretrainTest : public testing::Test {
 protected:
  PretrainTest() {
    std::string book = "Title: The Otter\nAuthor: A. Hare\nYear: 1871\n";
    for (int i = 0; i < 120; ++i) {
      const std::string n = std::to_string(i);
      book += "The otter swam " + n + " times through the river, and the hare ran after it.\n";
      book += "\"Where are you going, little otter " + n + "?\" said the hare.\n";
      book += "\"I am going to the sea,\" said the otter.\n";
    }
    write("book.txt", book);
    write("pairs.dlm",
          "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: dlm-nano\n---\n"
          "Hares are fast.\n\n::instruction::\n### Q\nWhat is fast?\n### A\nA hare.\n");
    request_.texts = {folder_ / "book.txt", folder_ / "pairs.dlm"};
    request_.out = folder_ / "base";
    request_.shape = {320, 32, 32, 64, 2, 2, 1};
    request_.tokens = 2560;
    request_.tokens_per_step = 256;
    request_.chat_share = 0.2;
    request_.num_threads = 1;
    request_.clock = &system_clock();
  }
  ~PretrainTest() override { clear_interrupt(); }

  void write(const std::string& name, const std::string& text) {
    write_file_atomic(folder_ / name, text);
  }
  std::string weights() const { return sha256_file_hex(request_.out / "model.safetensors"); }

  TemporaryFolder folder_;
  PretrainRequest request_;
};

TEST_F(PretrainTest, MakesABaseThatCanBePrompted) {
  std::vector<double> losses;
  PretrainEvents events;
  events.on_step = [&](const PretrainStep& step) { losses.push_back(step.loss); };
  const PretrainResult result = pretrain(request_, events);
  EXPECT_TRUE(result.is_done);
  ASSERT_EQ(result.plan.steps, 10);
  ASSERT_EQ(losses.size(), 10u);
  EXPECT_LT(losses.back(), losses.front() - 0.3);
  ASSERT_EQ(result.bits_per_byte.size(), 1u) << "the last lines of the book";
  EXPECT_EQ(result.bits_per_byte[0].first, "book.txt");
  EXPECT_GT(result.bits_per_byte[0].second, 0.5);
  EXPECT_LT(result.bits_per_byte[0].second, 6.0);

  const Base base = open_base(request_.out.string(), {});
  EXPECT_EQ(base.revision, result.revision);
  Device device(1);
  const auto session = Session::open(base, {}, device);
  EXPECT_TRUE(session->format().has_chat_template());
  AnswerOptions options;
  options.max_tokens = 4;
  EXPECT_GT(session->answer("Where?", options).prompt_tokens, 0);
  EXPECT_EQ(parse_json(read_file(request_.out / "pretrain.json")).at("steps").as_int(), 10);
}

TEST_F(PretrainTest, BytesDoNotDependOnThreadsOrStops) {
  pretrain(request_, {});
  const std::string whole = weights();

  request_.out = folder_ / "threads";
  request_.num_threads = 3;
  pretrain(request_, {});
  EXPECT_EQ(weights(), whole);

  request_.out = folder_ / "stopped";
  for (const int64_t stop : {1, 4, 9}) {
    PretrainEvents events;
    int64_t resumed = -1;
    events.on_plan = [&](const PretrainPlan& plan) { resumed = plan.resumed_at_step; };
    events.on_step = [&](const PretrainStep& step) {
      if (step.step == stop) raise_interrupt();
    };
    EXPECT_THROW(pretrain(request_, events), Error);
    clear_interrupt();
    EXPECT_LT(resumed, stop);
  }
  EXPECT_EQ(pretrain(request_, {}).plan.resumed_at_step, 9);
  EXPECT_EQ(weights(), whole);
}

TEST_F(PretrainTest, GoesOnOnlyWithTheSameSettingsAndTexts) {
  PretrainEvents events;
  events.on_step = [](const PretrainStep& step) {
    if (step.step == 2) raise_interrupt();
  };
  EXPECT_THROW(pretrain(request_, events), Error);
  clear_interrupt();
  PretrainRequest other = request_;
  other.learning_rate = 1e-3;
  try {
    pretrain(other, {});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(e.hint()).find("--fresh"), std::string::npos);
  }
  write("pairs.dlm", read_file(folder_ / "pairs.dlm") + "\n### Q\nAnd slow?\n### A\nA snail.\n");
  EXPECT_THROW(pretrain(request_, {}), Error);
  request_.fresh = true;
  EXPECT_EQ(pretrain(request_, {}).plan.resumed_at_step, 0);
}

TEST_F(PretrainTest, RefusesWhatCannotBecomeABase) {
  PretrainRequest bad = request_;
  bad.shape.num_kv_heads = 3;
  EXPECT_THROW(pretrain(bad, {}), Error);
  bad = request_;
  bad.texts = {folder_ / "nothing.txt"};
  EXPECT_THROW(pretrain(bad, {}), Error);
  bad = request_;
  write("latin1.txt", "caf\xe9\n");
  bad.texts = {folder_ / "latin1.txt"};
  EXPECT_THROW(pretrain(bad, {}), Error);
  make_folders(folder_ / "foreign");
  write("foreign/model.safetensors", "x");
  bad = request_;
  bad.out = folder_ / "foreign";
  EXPECT_THROW(pretrain(bad, {}), Error);
  EXPECT_EQ(read_file(folder_ / "foreign/model.safetensors"), "x");
}

TEST_F(PretrainTest, ADryRunMakesNoBase) {
  request_.dry_run = true;
  const PretrainResult result = pretrain(request_, {});
  EXPECT_FALSE(result.is_done);
  EXPECT_GT(result.plan.predicted_peak_bytes, 0u);
  EXPECT_FALSE(path_exists(request_.out / "model.safetensors"));
}

TEST_F(PretrainTest, SaysWhenNothingTeachesToEndATurn) {
  write("plain.txt", "one two three\nfour five six\nseven\n");
  request_.texts = {folder_ / "plain.txt"};
  request_.shape.vocab_size = 272;
  request_.dry_run = true;
  std::string notes;
  PretrainEvents events;
  events.on_note = [&](const std::string& note) { notes += note + "\n"; };
  pretrain(request_, events);
  EXPECT_NE(notes.find("will not learn to end its turn"), std::string::npos);
}

TEST_F(PretrainTest, FoldersGiveTheirTextFilesInOrderAndListedTwiceCountsTwice) {
  make_folders(folder_ / "in/below/.hidden");
  for (const char* name : {"in/b.md", "in/a.txt", "in/below/c.dlm", "in/below/.hidden/d.txt",
                           "in/.e.txt", "in/picture.png"}) {
    write(name, "x\n");
  }
  const auto files = list_corpus({folder_ / "in", folder_ / "in/a.txt"});
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].name, "a.txt");
  EXPECT_EQ(files[0].copies, 2);
  EXPECT_EQ(files[1].name, "b.md");
  EXPECT_EQ(files[2].name, "below/c.dlm");
}

TEST_F(PretrainTest, TextsAreCutAtALineBorderForMeasuring) {
  write("two.txt", "one\ntwo\nthree\nfour\n<|endoftext|>five\nsix\nseven\neight\n");
  const CorpusText text = read_corpus_file({folder_ / "two.txt", "two.txt"}, 0.4);
  ASSERT_EQ(text.training.size(), 2u);
  EXPECT_EQ(text.training[0], "one\ntwo\nthree\n");
  ASSERT_EQ(text.held_out.size(), 2u);
  EXPECT_EQ(text.held_out[1], "eight\n");
}

}  // namespace
}  // namespace dlm
