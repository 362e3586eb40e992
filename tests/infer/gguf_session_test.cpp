// Exported files against what other programs were recorded to give for them: logits of an
// independent forward pass, greedy text of the programs that such files are made for.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "formats/gguf.h"
#include "infer/session.h"
#include "model/gguf_config.h"
#include "model/gguf_vocabulary.h"
#include "support/json.h"

namespace dlm {
namespace {

fs::path model_folder(const std::string& name) {
  const char* root = std::getenv("DLM_TEST_DATA");
  return root == nullptr ? fs::path() : fs::path(root) / "models" / name;
}

std::vector<int32_t> ids_of(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : json.items()) ids.push_back(static_cast<int32_t>(id.as_int()));
  return ids;
}

std::vector<float> floats_of(const fs::path& path) {
  const std::string bytes = read_file(path);
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), values.size() * 4);
  return values;
}

class GgufModel : public testing::Test {
 protected:
  void SetUp() override {
    if (model_folder("stories260K").empty()) GTEST_SKIP() << "no outside data";
  }

  // The largest distance of logits at any position of `ids`.
  double farthest(Session& session, const std::vector<int32_t>& ids,
                  const std::vector<float>& expected) {
    const auto vocab = static_cast<size_t>(session.config().vocab_size);
    EXPECT_EQ(expected.size(), ids.size() * vocab);
    Generator generator(session.decoder(), session.adapter(), device_, 512);
    double worst = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto logits = generator.prefill(std::span(ids).first(i + 1));
      for (size_t v = 0; v < vocab; ++v) {
        worst = std::max(worst, std::abs(static_cast<double>(logits[v]) -
                                         static_cast<double>(expected[i * vocab + v])));
      }
    }
    return worst;
  }

  std::vector<int32_t> greedy(Session& session, const std::vector<int32_t>& ids, int64_t count) {
    Generator generator(session.decoder(), session.adapter(), device_, 512);
    return generate(generator, ids, count, {}, {}).tokens;
  }

  Device device_{1};
};

TEST_F(GgufModel, GivesTheLogitsOfAnIndependentForwardPass) {
  for (const std::string name : {"stories260K", "aidreams260K"}) {
    const fs::path folder = model_folder(name);
    const Json expected = parse_json(read_file(folder / "expected.json"));
    const auto session = Session::open_gguf(folder / (name + "-f32.gguf"), {}, device_);
    const auto ids = ids_of(expected.at("ids"));
    EXPECT_LT(farthest(*session, ids, floats_of(folder / "expected_logits.f32")), 1e-4) << name;
    EXPECT_EQ(greedy(*session, ids, 64), ids_of(expected.at("greedy_64"))) << name;
  }
}

TEST_F(GgufModel, SaysTheSameFromHalvesAndFromBlocks) {
  const fs::path folder = model_folder("stories260K");
  const Json expected = parse_json(read_file(folder / "expected.json"));
  const auto ids = ids_of(expected.at("ids"));
  const auto logits = floats_of(folder / "expected_logits.f32");
  const auto wanted = ids_of(expected.at("greedy_64"));
  const auto f16 = Session::open_gguf(folder / "stories260K-f16.gguf", {}, device_);
  EXPECT_LT(farthest(*f16, ids, logits), 0.02);
  EXPECT_EQ(greedy(*f16, ids, 64), wanted);
  const auto q8 = Session::open_gguf(folder / "stories260K-q8_0.gguf", {}, device_);
  EXPECT_LT(farthest(*q8, ids, logits), 0.3);
  // llama.cpp says these 64 tokens from all three files.
  EXPECT_EQ(greedy(*q8, ids, 64), wanted);
}

TEST_F(GgufModel, TakesALoraFile) {
  const fs::path folder = model_folder("stories260K");
  const fs::path lora = folder / "lora_random";
  const Json expected = parse_json(read_file(lora / "expected.json"));
  const auto session =
      Session::open_gguf(folder / "stories260K-f32.gguf", lora / "adapter-f32.gguf", device_);
  const auto ids = ids_of(expected.at("ids"));
  EXPECT_LT(farthest(*session, ids, floats_of(lora / "expected_logits.f32")), 1e-4);
}

TEST_F(GgufModel, ReadsTheTokenizerOfTheFile) {
  const fs::path folder = model_folder("stories260K");
  const GgufFile file = GgufFile::open(folder / "stories260K-f32.gguf");
  const Tokenizer ours = Tokenizer::from_vocabulary(gguf_vocabulary(file), "f32.gguf");
  const Tokenizer theirs = Tokenizer::load(folder / "tokenizer.json");
  for (const char* text : {"Once upon a time, there was a little girl named Lily.", "",
                           "  two blanks\n\n\tand 12,345 — Ünïcödé 🙂", "<s>a</s> b"}) {
    EXPECT_EQ(ours.encode(text, true), theirs.encode(text, true)) << text;
    EXPECT_EQ(ours.decode(ours.encode(text, false), false),
              theirs.decode(theirs.encode(text, false), false));
  }
}

}  // namespace
}  // namespace dlm
