// Whole GGUF models: tensors as llama.cpp needs them, the same bytes everywhere, adapters worked
// in, and nothing left behind on failure.
#include "export/gguf_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "export/tiny_gguf_base.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "model/decoder.h"
#include "model/golden.h"
#include "support/error.h"
#include "support/file_faults.h"
#include "support/hash.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

// Names, shapes, types and bytes of all tensors.
std::string tensors_digest(const fs::path& path) {
  Sha256 hash;
  const GgufFile file = GgufFile::open(path);
  for (const GgufTensor& tensor : file.tensors()) {
    std::string head = tensor.name + " " + std::string(ggml_traits(tensor.type).name);
    for (const int64_t size : tensor.shape) head += " " + std::to_string(size);
    hash.update(head + "\n");
    hash.update(tensor.bytes);
  }
  return hash.hex();
}

std::vector<float> floats(const GgufTensor& tensor) {
  EXPECT_EQ(tensor.type, GgmlType::kF32);
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class GgufModel : public ::testing::Test {
 protected:
  GgufModelRequest request(const fs::path& base, Quant quant = Quant::kF32) {
    GgufModelRequest r;
    r.base = base;
    r.quant = quant;
    r.name = "a model";
    r.out = folder_.path() / "m.gguf";
    return r;
  }
  fs::path tiny_base() {
    const fs::path base = folder_.path() / "base";
    if (!fs::exists(base)) write_tiny_base(base);
    return base;
  }
  // One tensor of the base's only file, with other bytes.
  void overwrite(const fs::path& base, const std::string& name, size_t at,
                 std::span<const std::byte> bytes) {
    const fs::path path = base / "model.safetensors";
    std::string file = read_file(path);
    const SafetensorsFile parsed = SafetensorsFile::parse(std::as_bytes(std::span(file)), path);
    const auto* begin = reinterpret_cast<const char*>(parsed.at(name).bytes.data());
    std::memcpy(file.data() + (begin - file.data()) + at, bytes.data(), bytes.size());
    write_file_atomic(path, file);
  }
  std::string refusal(const GgufModelRequest& r, ErrorKind kind) {
    try {
      write_gguf_model(r, device_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_FALSE(error.hint().empty());
      EXPECT_FALSE(fs::exists(r.out));
      return error.message();
    }
    return "no error";
  }
  size_t num_files() {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  TemporaryFolder folder_;
  Device device_{2};
};

// Digests of files with which llama.cpp gave the golden logits and greedy texts.
TEST_F(GgufModel, HoldsTheTensorsWithWhichTheGoldensWereReproduced) {
  const std::map<std::string, std::string> digests = {
      {"gemma2", "c5098eb969b6b4c8957f3c2a09bd260d2b92150e796243fea422f8bad489b168"},
      {"llama_bf16_sharded", "a93e2eb190ada859ee33764055a4177ae67311fcf82265d3af1c6cbd9260f927"},
      {"llama_tied", "30b53e502fee0650aca3229367191c7e2b1baa6e0655c8f1e6714c070cb9ebee"},
      {"llama_untied", "563336eba6ed2eaf9dc7cad873be7f01bdcd7bc8bf38265394fbb4ac81c111f0"},
      {"mixtral", "e69be8c1fed34e8184d517f5ad80cd8b1e596941b6a87672697c9de74a5039ee"},
      {"olmo2", "7af32d43a99aba6a93836015668c95555ae2fe02a9e2a46dda50f8ef51656311"},
      {"phi3", "45bc754ffd086e5f434e58fdba65311beb0332cd05997b18fe95f04494de1395"},
      {"phi3_longrope", "facf0ebbc09803c097093e51a0aba1e98aa53f0e235c76ea6f0167a074b036ea"},
      {"qwen2", "72a268616cc0e1727b6e019e470976ba057d2434a00e83bb64fe70d94c979ae0"},
      {"qwen3", "2799dcf12013092e060aea350070fe180b1a8b8aeba66f23bb277c9cf0e0bf9d"},
      {"smollm3", "fbc560b87708f9169fd66bb71c1669f9be60abda28a314ea134c6501d39b02cb"},
  };
  size_t compared = 0;
  for (const fs::path& golden : golden_folders()) {
    const auto expected = digests.find(golden.filename().string());
    if (expected == digests.end()) continue;
    const fs::path base = folder_.path() / golden.filename();
    write_gguf_base(golden, base);
    GgufModelRequest r = request(base);
    write_gguf_model(r, device_);
    EXPECT_EQ(tensors_digest(r.out), expected->second) << expected->first;
    ++compared;
  }
  EXPECT_EQ(compared, digests.size());
}

// Files of another converter and of llama.cpp's own quantizer.
TEST_F(GgufModel, EqualsTheFilesOfAConvertedModel) {
  const char* outside = std::getenv("DLM_TEST_DATA");
  if (outside == nullptr) GTEST_SKIP() << "DLM_TEST_DATA is not set";
  const fs::path base = fs::path(outside) / "models" / "stories260K";
  for (const auto& [quant, file] : {std::pair(Quant::kF32, "stories260K-f32.gguf"),
                                    std::pair(Quant::kF16, "stories260K-f16.gguf"),
                                    std::pair(Quant::kQ8_0, "stories260K-q8_0.gguf")}) {
    GgufModelRequest r = request(base, quant);
    write_gguf_model(r, device_);
    const GgufFile ours = GgufFile::open(r.out);
    const GgufFile theirs = GgufFile::open(base / file);
    ASSERT_EQ(ours.tensors().size(), theirs.tensors().size());
    for (const GgufTensor& tensor : theirs.tensors()) {
      const GgufTensor* same = ours.find_tensor(tensor.name);
      ASSERT_NE(same, nullptr) << tensor.name;
      EXPECT_EQ(same->type, tensor.type) << tensor.name;
      EXPECT_EQ(same->shape, tensor.shape) << tensor.name;
      ASSERT_EQ(same->bytes.size(), tensor.bytes.size()) << tensor.name;
      EXPECT_EQ(std::memcmp(same->bytes.data(), tensor.bytes.data(), tensor.bytes.size()), 0)
          << tensor.name;
    }
  }
}

TEST_F(GgufModel, HasTheSameBytesAtAnyThreadCountAndTheSizeSaidBefore) {
  GgufModelRequest r = request(tiny_base(), Quant::kQ4_K_M);
  uint64_t last = 0, whole = 0;
  r.on_progress = [&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    last = done;
    whole = all;
  };
  const uint64_t predicted = outline_gguf_model(r).file_bytes;
  std::string hash;
  for (const int threads : {1, 2, 5}) {
    Device device(threads);
    last = 0;
    const GgufModelReport report = write_gguf_model(r, device);
    EXPECT_EQ(report.file_bytes, predicted);
    EXPECT_EQ(fs::file_size(r.out), predicted);
    EXPECT_EQ(report.sha256, sha256_file_hex(r.out));
    if (hash.empty()) hash = report.sha256;
    EXPECT_EQ(report.sha256, hash) << threads;
    EXPECT_EQ(whole, predicted);
    EXPECT_GT(last, whole / 2);
  }
}

// The tiny base is in bf16.
TEST_F(GgufModel, CopiesBf16BitForBit) {
  const fs::path base = tiny_base();
  GgufModelRequest r = request(base, Quant::kBF16);
  write_gguf_model(r, device_);
  const GgufFile file = GgufFile::open(r.out);
  const SafetensorsSet set = SafetensorsSet::open(base);
  const auto same = [&](const char* ours, const char* theirs) {
    const auto a = file.find_tensor(ours)->bytes, b = set.at(theirs).bytes;
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
  };
  EXPECT_TRUE(same("token_embd.weight", "model.embed_tokens.weight"));
  EXPECT_TRUE(same("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"));
  EXPECT_FALSE(same("blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight"));
}

TEST_F(GgufModel, WorksAdaptersIn) {
  // PEFT's own merge of one module each, made with the same adapters.
  size_t compared = 0;
  for (const fs::path& golden : golden_folders()) {
    for (const char* kind : {"lora", "dora", "rslora"}) {
      const fs::path adapter = golden / ("adapter_" + std::string(kind) + "_init");
      if (!fs::exists(adapter)) continue;
      const fs::path base = folder_.path() / golden.filename();
      write_gguf_base(golden, base);
      GgufModelRequest r = request(base);
      r.adapter = adapter;
      write_gguf_model(r, device_);
      const GgufFile merged = GgufFile::open(r.out);
      const SafetensorsFile expected =
          SafetensorsFile::open(golden / (std::string(kind) + ".safetensors"));
      for (const SafetensorsTensor& tensor : expected.tensors()) {
        // Down projections: no rows are reordered there, and none are stacked.
        if (!tensor.name.starts_with("merged.") ||
            tensor.name.find("down_proj") == std::string::npos) {
          continue;
        }
        const std::vector<float> ours = floats(*merged.find_tensor("blk.0.ffn_down.weight"));
        const std::span<const float> theirs = f32_values(tensor);
        ASSERT_EQ(ours.size(), theirs.size());
        for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], theirs[i], 1e-5);
        ++compared;
      }
    }
  }
  EXPECT_GE(compared, 3u);
}

TEST_F(GgufModel, WeighsAnAdapter) {
  const fs::path base = tiny_base();
  const auto decoder = Decoder::load(base, DType::kF32);
  LoraOptions options;
  options.rank = 4;
  options.alpha = 8;
  const auto lora = LoraAdapter::create(*decoder, options, 3);
  for (const auto& [module, layer] : lora->layers()) {
    for (int64_t i = 0; i < layer->bt.value.numel(); ++i) layer->bt.value.mutable_f32()[i] = 0.01f;
  }
  const fs::path adapter = folder_.path() / "adapter";
  make_folders(adapter);
  lora->save(adapter);
  const auto down = [&](const fs::path& which, double weight) {
    GgufModelRequest r = request(base);
    r.adapter = which;
    r.adapter_weight = weight;
    write_gguf_model(r, device_);
    return floats(*GgufFile::open(r.out).find_tensor("blk.0.ffn_down.weight"));
  };
  const auto plain = down({}, 1), whole = down(adapter, 1), half = down(adapter, 0.5);
  EXPECT_EQ(down(adapter, 0), plain);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(half[i] - plain[i], (whole[i] - plain[i]) / 2, 1e-6);
  }
  EXPECT_NE(whole, plain);
}

TEST_F(GgufModel, GivesATiedModelItsHeadWhenItWasTrained) {
  const fs::path base = folder_.path() / "tied";
  write_tiny_tokenizer(base);
  ModelConfig config = tiny_model_config();
  config.tie_word_embeddings = true;
  const auto decoder = Decoder::random(config, DType::kBF16, 7);
  decoder->save(base);
  const auto loaded = Decoder::load(base, DType::kF32);
  LoraOptions options;
  options.modules_to_save = {kLmHead};
  const auto lora = LoraAdapter::create(*loaded, options, 3);
  lora->head()->value.mutable_f32()[5] = 77.0f;
  const fs::path adapter = folder_.path() / "adapter";
  make_folders(adapter);
  lora->save(adapter);

  GgufModelRequest r = request(base);
  write_gguf_model(r, device_);
  EXPECT_EQ(GgufFile::open(r.out).find_tensor("output.weight"), nullptr);
  r.adapter = adapter;
  write_gguf_model(r, device_);
  const GgufFile file = GgufFile::open(r.out);
  EXPECT_EQ(floats(*file.find_tensor("output.weight"))[5], 77.0f);
  EXPECT_NE(floats(*file.find_tensor("token_embd.weight"))[5], 77.0f);
  r.adapter_weight = 0.5;
  fs::remove(r.out);
  EXPECT_EQ(refusal(r, ErrorKind::kExport), "modules that were trained whole cannot be weighted");
}

TEST_F(GgufModel, RefusesNumbersThatATypeCannotHold) {
  const fs::path base = tiny_base();
  const uint16_t large = 0x4800, nan = 0x7fc0;  // 131072 in bf16
  overwrite(base, "model.layers.0.mlp.up_proj.weight", 64 * 2 * 3,
            std::as_bytes(std::span(&large, 1)));
  EXPECT_EQ(refusal(request(base, Quant::kF16), ErrorKind::kBase),
            "tensor \"blk.0.ffn_up.weight\", row 3: holds a number that F16 cannot hold");
  EXPECT_EQ(refusal(request(base, Quant::kBF16), ErrorKind::kBase), "no error");
  fs::remove(folder_.path() / "m.gguf");
  overwrite(base, "model.layers.0.mlp.up_proj.weight", 64 * 2 * 3,
            std::as_bytes(std::span(&nan, 1)));
  EXPECT_EQ(refusal(request(base, Quant::kQ8_0), ErrorKind::kBase),
            "tensor \"blk.0.ffn_up.weight\", row 3: holds a number that is not finite");
  EXPECT_EQ(num_files(), 0u);
}

TEST_F(GgufModel, UsesImportanceAndChecksIt) {
  const fs::path base = tiny_base();
  GgufModelRequest r = request(base, Quant::kQ4_K_M);
  write_gguf_model(r, device_);
  const std::string without = tensors_digest(r.out);
  Imatrix imatrix;
  imatrix.dataset = "rows of the document";
  imatrix.chunk_count = 2;
  ImatrixEntry entry;
  entry.columns = 128;
  for (int i = 0; i < 128; ++i) entry.sums.push_back(i % 7 == 0 ? 100.0f : 0.01f);
  entry.counts = {4};
  imatrix.entries["blk.0.ffn_down.weight"] = entry;
  r.imatrix = &imatrix;
  write_gguf_model(r, device_);
  EXPECT_NE(tensors_digest(r.out), without);
  const GgufFile file = GgufFile::open(r.out);
  EXPECT_EQ(file.text("quantize.imatrix.dataset"), "rows of the document");
  EXPECT_EQ(file.integer("quantize.imatrix.entries_count"), 1);
  EXPECT_EQ(file.integer("quantize.imatrix.chunks_count"), 2);
  EXPECT_EQ(file.find("quantize.imatrix.file"), nullptr);

  fs::remove(r.out);
  imatrix.entries["blk.0.ffn_down.weight"].columns = 64;
  imatrix.entries["blk.0.ffn_down.weight"].sums.resize(64);
  EXPECT_EQ(
      refusal(r, ErrorKind::kExport),
      "the importance matrix has 64 columns for \"blk.0.ffn_down.weight\", the weight has 128");
}

TEST_F(GgufModel, LeavesNothingOnAFullDisk) {
  const GgufModelRequest r = request(tiny_base(), Quant::kQ8_0);
  for (const FileStep step : {FileStep::kWrite, FileStep::kSync, FileStep::kRename}) {
    const ScopedFileFault fault(
        [&](FileStep asked, const fs::path&) { return asked == step ? ENOSPC : 0; });
    EXPECT_NE(refusal(r, ErrorKind::kIo), "no error");
    EXPECT_EQ(num_files(), 0u);
  }
}

TEST_F(GgufModel, RefusesFoldersThatAreNoWholeBase) {
  const fs::path base = tiny_base();
  fs::remove(base / "tokenizer.json");
  EXPECT_NE(refusal(request(base), ErrorKind::kIo), "no error");
  EXPECT_EQ(num_files(), 0u);
}

}  // namespace
}  // namespace dlm
