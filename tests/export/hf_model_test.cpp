// Merged folders against the base with its adapter beside it.
#include "export/hf_model.h"

#include <gtest/gtest.h>

#include <cstring>

#include "export/adapter_folder.h"
#include "formats/safetensors.h"
#include "model/merge.h"
#include "support/error.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

class HfModel : public ::testing::Test {
 protected:
  HfModel() : device_(1) { write_tiny_base(base()); }
  fs::path base() const { return folder_ / "base"; }

  fs::path write_adapter(const LoraOptions& options) {
    const auto decoder = Decoder::load(base(), DType::kF32);
    const auto adapter = LoraAdapter::create(*decoder, options, 5);
    for (const auto& [module, lora] : adapter->layers()) {
      for (int64_t i = 0; i < lora->bt.value.numel(); ++i) {
        lora->bt.value.mutable_f32()[i] = 0.01f * static_cast<float>(i % 7 - 3);
      }
    }
    make_folders(folder_ / "adapter");
    adapter->save(folder_ / "adapter");
    return folder_ / "adapter";
  }

  TemporaryFolder folder_;
  Device device_;
};

TEST_F(HfModel, HasTheBasesLayoutAndTheAdapterWithin) {
  LoraOptions options;
  options.target_modules = {"q_proj", "down_proj"};
  const fs::path adapter = write_adapter(options);
  make_folders(folder_ / "out");
  uint64_t last = 0;
  write_hf_model(base(), adapter, folder_ / "out", device_,
                 [&](uint64_t done, uint64_t) { last = done; });
  EXPECT_GT(last, 0u);
  const SafetensorsSet before = SafetensorsSet::open(base());
  const SafetensorsSet after = SafetensorsSet::open(folder_ / "out");
  ASSERT_EQ(before.names(), after.names());
  const auto decoder = Decoder::load(base(), DType::kF32);
  const auto loaded = LoraAdapter::load(adapter, *decoder);
  size_t num_changed = 0;
  for (const std::string& name : before.names()) {
    const SafetensorsTensor& x = before.at(name);
    const SafetensorsTensor& y = after.at(name);
    EXPECT_EQ(x.dtype, y.dtype);
    EXPECT_EQ(x.shape, y.shape);
    const std::string module = name.substr(0, name.size() - std::min<size_t>(name.size(), 7));
    Lora* lora = loaded->find(module);
    if (lora == nullptr) {
      EXPECT_TRUE(std::equal(x.bytes.begin(), x.bytes.end(), y.bytes.begin())) << name;
      continue;
    }
    ++num_changed;
    Tensor weight = Tensor::zeros(x.shape, x.dtype == "F32" ? DType::kF32 : DType::kBF16);
    std::copy(x.bytes.begin(), x.bytes.end(), static_cast<std::byte*>(weight.mutable_data()));
    const Tensor expected = merged_weight(weight, *lora, device_.kernels()).cast(weight.dtype());
    EXPECT_EQ(0, std::memcmp(expected.data(), y.bytes.data(), y.bytes.size())) << name;
  }
  EXPECT_EQ(num_changed, 4u);
  // What transformers reads beside the weights.
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_EQ(read_file(base() / name), read_file(folder_ / "out" / name));
  }
}

TEST_F(HfModel, HoldsDora) {
  LoraOptions options;
  options.use_dora = true;
  const fs::path adapter = write_adapter(options);
  make_folders(folder_ / "out");
  write_hf_model(base(), adapter, folder_ / "out", device_, {});
  EXPECT_NO_THROW(Decoder::load(folder_ / "out", DType::kF32));
}

}  // namespace
}  // namespace dlm
