// Sequences that are read side by side: what a model says of each is what it says of it alone,
// whatever they share and however they were read.
#include "model/sequences.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "engine/cpu/gemm.h"
#include "engine/cpu/isa.h"
#include "model/generate.h"
#include "model/tiny_decoder.h"
#include "support/error.h"

namespace dlm {
namespace {

std::vector<int32_t> some_tokens(uint64_t seed, int64_t count) {
  return tiny_row(seed, count, 40).tokens;
}

std::vector<int32_t> joined(std::vector<int32_t> first, const std::vector<int32_t>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

class SequencesOf : public testing::TestWithParam<std::string> {
 protected:
  SequencesOf() : decoder_(Decoder::random(config(), DType::kF32, 5)) {}

  static ModelConfig config() {
    if (GetParam() != "dynamic") return tiny_family_config(GetParam());
    ModelConfig c = tiny_config(false);
    c.rope.type = "dynamic";
    c.rope.factor = 2.0;
    c.rope.original_max_positions = 24;
    return c;
  }

  std::vector<float> logits(Sequences& sequences, size_t sequence, int64_t position) {
    std::vector<float> out(static_cast<size_t>(decoder_->config().vocab_size));
    sequences.logits(sequence, position, 1, out.data());
    return out;
  }
  // Of the last token of a text that is read alone, at once.
  std::vector<float> alone(const std::vector<int32_t>& text) {
    Generator generator(*decoder_, nullptr, device_, static_cast<int64_t>(text.size()));
    const auto last = generator.prefill(text);
    return {last.begin(), last.end()};
  }
  void expect_alone(Sequences& sequences, size_t sequence, const std::vector<int32_t>& text,
                    const std::string& what) {
    const std::vector<float> expected = alone(text);
    const std::vector<float> got =
        logits(sequences, sequence, static_cast<int64_t>(text.size()) - 1);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(got[i], expected[i], 2e-5) << what << ", token " << i;
    }
  }

  Device device_{2};
  std::unique_ptr<Decoder> decoder_;
};

TEST_P(SequencesOf, ShareWhatTheyHaveInCommon) {
  const std::vector<int32_t> common = some_tokens(1, 19);
  std::vector<std::vector<int32_t>> texts = {
      joined(common, some_tokens(2, 30)), joined(common, some_tokens(3, 2)),
      joined(common, some_tokens(4, 50)), some_tokens(5, 33)};
  texts.push_back(joined(texts[2], some_tokens(6, 7)));  // shares what shares
  texts.push_back(texts[2]);                             // the same once more
  std::vector<SequenceRoom> rooms;
  for (size_t i = 0; i < texts.size(); ++i) {
    rooms.push_back({static_cast<int64_t>(texts[i].size()), i % 2 == 0});
  }
  int64_t num_tokens = 0;
  for (const SequenceRoom& room : rooms) num_tokens += room.capacity;
  for (const Sharing sharing : {Sharing::kBeginnings, Sharing::kNothing}) {
    Sequences sequences(*decoder_, nullptr, device_, rooms, sharing);
    for (size_t i = 0; i < texts.size(); ++i) sequences.append(i, texts[i]);
    sequences.read();
    for (size_t i = 0; i < texts.size(); ++i) {
      expect_alone(sequences, i, texts[i], "text " + std::to_string(i));
    }
    const std::span<const int64_t> times = sequences.num_texts();
    EXPECT_EQ(std::accumulate(times.begin(), times.end(), int64_t{0}), num_tokens);
    // Not computed again is at least the text that stands there twice; the one that goes on is
    // longer, which may mean another rotation.
    const auto num_computed = static_cast<int64_t>(times.size());
    const int64_t num_again = GetParam() == "dynamic" ? 1 : 2;
    if (sharing == Sharing::kBeginnings) {
      EXPECT_LE(num_computed, num_tokens - num_again * (rooms[2].capacity - 1));
    } else {
      EXPECT_EQ(num_computed, num_tokens);
    }
  }
}

TEST_P(SequencesOf, GoOnInPiecesOfAnyLength) {
  const std::vector<int32_t> text = some_tokens(7, 90);
  const std::vector<SequenceRoom> rooms = {{90, false}, {40, false}};
  Sequences sequences(*decoder_, nullptr, device_, rooms);
  size_t at = 0;
  for (const size_t count : {10, 1, 3, 4, 5, 1, 40, 2, 24}) {
    sequences.append(0, std::span(text).subspan(at, count));
    at += count;
    // Another one begins late, with what the first has long read.
    if (at == 24) sequences.append(1, std::span(text).first(20));
    sequences.read();
    const std::vector<int32_t> read(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at));
    expect_alone(sequences, 0, read, std::to_string(at) + " tokens");
    if (at == 24) expect_alone(sequences, 1, {text.begin(), text.begin() + 20}, "the other");
  }
}

TEST_P(SequencesOf, ForgetWhatIsCut) {
  const std::vector<int32_t> text = some_tokens(8, 40);
  const std::vector<SequenceRoom> rooms = {{60, false}};
  Sequences sequences(*decoder_, nullptr, device_, rooms);
  sequences.append(0, text);
  sequences.read();
  sequences.cut(0, 15);
  EXPECT_EQ(sequences.length(0), 15);
  const std::vector<int32_t> other = some_tokens(9, 6);
  sequences.append(0, other);
  sequences.read();
  expect_alone(sequences, 0, joined({text.begin(), text.begin() + 15}, other), "cut");
  sequences.cut(0, 0);
  sequences.append(0, other);
  sequences.read();
  expect_alone(sequences, 0, other, "new");
}

TEST_P(SequencesOf, GiveTheOutputsThatWereAskedFor) {
  const std::vector<int32_t> text = some_tokens(10, 30);
  const std::vector<SequenceRoom> rooms = {{30, true}, {30, true}};
  Sequences sequences(*decoder_, nullptr, device_, rooms);
  sequences.append(0, text);
  sequences.append(1, text, 12);
  sequences.read();
  for (int64_t position = 18; position < 30; ++position) {
    // The rotation of a shorter text may be another.
    if (sequences.config().rope_variant(position + 1) != sequences.config().rope_variant(30)) {
      continue;
    }
    const std::vector<float> got = logits(sequences, 1, position);
    const std::vector<float> expected = alone({text.begin(), text.begin() + position + 1});
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-5);
  }
  EXPECT_THROW(sequences.output(1, 0), Error);
}

TEST_P(SequencesOf, HaveRoomForWhatWasSaid) {
  const std::vector<SequenceRoom> rooms = {{5, false}, {3, true}};
  Sequences sequences(*decoder_, nullptr, device_, rooms);
  sequences.append(0, some_tokens(11, 5));
  try {
    sequences.append(1, some_tokens(12, 4));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInference);
    EXPECT_NE(std::string(e.what()).find("4 tokens, more than the 3"), std::string::npos);
  }
  EXPECT_THROW(sequences.append(0, some_tokens(13, 1)), Error);
  EXPECT_THROW(sequences.append(1, {}), Error);
}

INSTANTIATE_TEST_SUITE_P(Families, SequencesOf,
                         testing::Values("llama", "gemma2", "phi3", "mixtral", "dynamic"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace dlm
