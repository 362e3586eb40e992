// GGUF LoRA files: for every layer, alpha / rank times B A of the file is the adapter's own
// product.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "export/gguf_model.h"
#include "export/gguf_tensors.h"
#include "export/tiny_gguf_base.h"
#include "formats/gguf.h"
#include "model/decoder.h"
#include "model/golden.h"
#include "support/error.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

std::vector<float> floats(const GgufFile& file, const std::string& name) {
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) throw std::runtime_error("no tensor " + name);
  std::vector<float> values(tensor->bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
  return values;
}

class GgufAdapter : public ::testing::Test {
 protected:
  GgufAdapter() : base_(folder_.path() / "base"), adapter_(folder_.path() / "adapter") {
    write_tiny_base(base_);
    make_folders(adapter_);
    decoder_ = Decoder::load(base_, DType::kF32);
  }
  std::unique_ptr<LoraAdapter> save(const LoraOptions& options) {
    auto lora = LoraAdapter::create(*decoder_, options, 3);
    for (const auto& [module, layer] : lora->layers()) {
      for (int64_t i = 0; i < layer->bt.value.numel(); ++i) {
        layer->bt.value.mutable_f32()[i] = std::sin(static_cast<float>(i));
      }
    }
    lora->save(adapter_);
    return lora;
  }
  GgufFile convert() {
    const fs::path out = folder_.path() / "a.gguf";
    const GgufModelReport report = write_gguf_adapter(base_, adapter_, "mine", out);
    EXPECT_EQ(report.file_bytes, fs::file_size(out));
    return GgufFile::open(out);
  }
  std::string refusal() {
    try {
      write_gguf_adapter(base_, adapter_, "mine", folder_.path() / "a.gguf");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_EQ(error.hint(), "export it with --merged");
      return error.message();
    }
    return "no error";
  }
  // Every layer's product, against scale B A of the adapter.
  void expect_same_products(const GgufFile& file, LoraAdapter& adapter) {
    const double alpha = file.number("adapter.lora.alpha");
    size_t compared = 0;
    for (const GgufTensorPlan& plan : plan_gguf_tensors(decoder_->config(), true)) {
      const std::string& name = plan.sources.front().name;
      const Lora* lora = adapter.find(name.substr(0, name.rfind('.')));
      if (lora == nullptr) continue;
      const auto a = floats(file, plan.name + ".lora_a");
      const auto b = floats(file, plan.name + ".lora_b");
      const int64_t rank = file.find_tensor(plan.name + ".lora_b")->shape[1];
      ASSERT_EQ(rank, lora->rank);
      for (const int64_t row : {0, 1, 5, 31}) {
        const int64_t from = plan.source_row(row);
        double ours = 0, theirs = 0;
        for (int64_t r = 0; r < rank; ++r) {
          const auto weight = static_cast<double>(a[static_cast<size_t>(r * plan.columns() + 2)]);
          ours += alpha / static_cast<double>(rank) *
                  static_cast<double>(b[static_cast<size_t>(row * rank + r)]) * weight;
          const int64_t out = lora->bt.value.dim(1);
          theirs += static_cast<double>(lora->scale) *
                    static_cast<double>(lora->bt.value.f32()[r * out + from]) *
                    static_cast<double>(lora->a.value.f32()[r * plan.columns() + 2]);
        }
        EXPECT_NEAR(ours, theirs, 1e-6) << plan.name << " row " << row;
      }
      ++compared;
    }
    EXPECT_EQ(file.tensors().size(), 2 * compared);
    EXPECT_EQ(compared, adapter.layers().size());
  }

  TemporaryFolder folder_;
  fs::path base_, adapter_;
  std::unique_ptr<Decoder> decoder_;
};

TEST_F(GgufAdapter, SaysWhatItIsAndKeepsPlainNumbers) {
  LoraOptions options;
  options.rank = 4;
  options.alpha = 8;
  const auto lora = save(options);
  const GgufFile file = convert();
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.text("general.type"), "adapter");
  EXPECT_EQ(file.text("adapter.type"), "lora");
  EXPECT_EQ(file.text("general.name"), "mine");
  EXPECT_EQ(file.number("adapter.lora.alpha"), 8);
  EXPECT_EQ(file.find("general.file_type"), nullptr);
  EXPECT_EQ(file.tensors()[0].name, "blk.0.attn_k.weight.lora_a");
  EXPECT_EQ(file.tensors()[1].name, "blk.0.attn_k.weight.lora_b");
  EXPECT_EQ(file.tensors()[0].shape, (std::vector<int64_t>{4, 64}));
  EXPECT_EQ(file.tensors()[1].shape, (std::vector<int64_t>{32, 4}));
  const Lora* k = lora->find("model.layers.0.self_attn.k_proj");
  const auto a = floats(file, "blk.0.attn_k.weight.lora_a");
  EXPECT_EQ(std::memcmp(a.data(), k->a.value.f32(), a.size() * sizeof(float)), 0);
  expect_same_products(file, *lora);
}

TEST_F(GgufAdapter, FoldsRsLoraAndPatternsIn) {
  LoraOptions options;
  options.rank = 4;
  options.alpha = 8;
  options.use_rslora = true;
  options.rank_pattern = {{"v_proj", 8}};
  options.alpha_pattern = {{"o_proj", 24.0}, {"up_proj", 0.0}};
  const auto lora = save(options);
  const GgufFile file = convert();
  EXPECT_EQ(file.number("adapter.lora.alpha"), 16);  // 8 times the root of 4
  EXPECT_EQ(file.find_tensor("blk.1.attn_v.weight.lora_a")->shape[0], 8);
  expect_same_products(file, *lora);
}

TEST_F(GgufAdapter, AnAlphaOfZeroStaysNothing) {
  LoraOptions options;
  options.alpha = 0;
  const auto lora = save(options);
  const GgufFile file = convert();
  EXPECT_NE(file.number("adapter.lora.alpha"), 0);
  expect_same_products(file, *lora);
}

TEST_F(GgufAdapter, RefusesWhatTheFormatCannotHold) {
  LoraOptions options;
  options.use_dora = true;
  save(options);
  EXPECT_EQ(refusal(), "a GGUF adapter cannot hold DoRA's magnitudes");
  options.use_dora = false;
  options.modules_to_save = {kEmbedTokens};
  save(options);
  EXPECT_EQ(refusal(), "a GGUF adapter cannot hold modules that were trained whole");
  EXPECT_FALSE(fs::exists(folder_.path() / "a.gguf"));
}

TEST_F(GgufAdapter, StacksExpertsAndSkipsBiases) {
  size_t found = 0;
  for (const fs::path& golden : golden_folders()) {
    const std::string name = golden.filename().string();
    if (name != "mixtral" && name != "qwen2") continue;
    const fs::path out = folder_.path() / (name + ".gguf");
    write_gguf_adapter(golden, golden / "adapter_lora_init", "x", out);
    const GgufFile file = GgufFile::open(out);
    if (name == "mixtral") {
      EXPECT_EQ(file.find_tensor("blk.0.ffn_up_exps.weight.lora_a")->shape,
                (std::vector<int64_t>{4, 4, 64}));
      EXPECT_EQ(file.find_tensor("blk.0.ffn_up_exps.weight.lora_b")->shape,
                (std::vector<int64_t>{4, 80, 4}));
    } else {
      EXPECT_EQ(file.find_tensor("blk.0.attn_q.bias.lora_a"), nullptr);
      EXPECT_EQ(file.tensors().size(), 28u);
    }
    ++found;
  }
  EXPECT_EQ(found, 2u);
}

}  // namespace
}  // namespace dlm
