// Real pretrained models from outside, when they are there: logits against a float64 reference
// (1e-4: f32 sums of at most a few hundred terms), greedy text token for token, tokenizer and text
// read back.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/head.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "support/json.h"
#include "text/tokenizer.h"

namespace dlm {
namespace {

// Folders below $DLM_TEST_DATA/models that say what to expect.
std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  const char* outside = std::getenv("DLM_TEST_DATA");
  if (outside == nullptr || !fs::is_directory(fs::path(outside) / "models")) return folders;
  for (const auto& entry : fs::directory_iterator(fs::path(outside) / "models")) {
    if (fs::exists(entry.path() / "expected.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::vector<int32_t> ids_of(const Json& list) {
  std::vector<int32_t> ids;
  for (const Json& id : list.items()) ids.push_back(static_cast<int32_t>(id.as_int()));
  return ids;
}

void expect_logits(Decoder& decoder, LoraAdapter* adapter, Device& device,
                   const std::vector<int32_t>& ids, const fs::path& file) {
  const std::string bytes = read_file(file);
  const auto* expected = reinterpret_cast<const float*>(bytes.data());
  const auto graph = build_graph(decoder, adapter, GraphUse::kHidden, 512);
  Exec exec(graph->graph, device);
  Batch batch;
  batch.add_row(ids, std::vector<int32_t>(ids.size(), Batch::kNoLabel), 0);
  exec.forward(batch);
  std::vector<float> logits(ids.size() * static_cast<size_t>(decoder.config().vocab_size));
  ASSERT_EQ(bytes.size(), logits.size() * sizeof(float));
  project_to_vocabulary(exec.data<float>(graph->final), exec.tokens(), decoder.head(),
                        logits.data());
  float worst = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    worst = std::max(worst, std::abs(logits[i] - expected[i]));
  }
  EXPECT_LT(worst, 1e-4f);
}

std::vector<int32_t> greedy(Decoder& decoder, LoraAdapter* adapter, Device& device,
                            const std::vector<int32_t>& ids, size_t count) {
  Generator generator(decoder, adapter, device, static_cast<int64_t>(ids.size() + count));
  return generate(generator, ids, static_cast<int64_t>(count), {}, {}).tokens;
}

TEST(RealModels, GiveTheirExpectedLogitsAndGreedyTexts) {
  const auto folders = model_folders();
  if (folders.empty()) GTEST_SKIP() << "skipped: no models below $DLM_TEST_DATA";
  Device device(2);
  for (const fs::path& folder : folders) {
    SCOPED_TRACE(folder.filename().string());
    const Json expected = parse_json(read_file(folder / "expected.json"));
    const auto decoder = Decoder::load(folder, DType::kF32);
    const auto ids = ids_of(expected.at("ids"));
    expect_logits(*decoder, nullptr, device, ids, folder / "expected_logits.f32");
    const auto continuation = ids_of(expected.at("greedy_64"));
    EXPECT_EQ(greedy(*decoder, nullptr, device, ids, continuation.size()), continuation);

    const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
    const std::string text = tokenizer.decode(ids, true);
    EXPECT_EQ(tokenizer.encode(text, true), ids) << text;
  }
}

TEST(RealModels, TakeTheirAdapters) {
  int64_t found = 0;
  Device device(2);
  for (const fs::path& folder : model_folders()) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!fs::exists(entry.path() / "adapter_config.json")) continue;
      SCOPED_TRACE(entry.path().string());
      ++found;
      const Json expected = parse_json(read_file(entry.path() / "expected.json"));
      const auto decoder = Decoder::load(folder, DType::kF32);
      const auto adapter = LoraAdapter::load(entry.path(), *decoder);
      const auto ids = ids_of(expected.at("ids"));
      expect_logits(*decoder, adapter.get(), device, ids, entry.path() / "expected_logits.f32");
      const auto continuation = ids_of(expected.at("greedy_24"));
      EXPECT_EQ(greedy(*decoder, adapter.get(), device, ids, continuation.size()), continuation);
    }
  }
  if (found == 0) GTEST_SKIP() << "skipped: no adapters below $DLM_TEST_DATA/models";
}

}  // namespace
}  // namespace dlm
