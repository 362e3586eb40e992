// What GGUF files say of a model, and what is refused in them.
#include "model/gguf_config.h"

#include <gtest/gtest.h>

#include <cstring>

#include "model/decoder.h"
#include "model/gguf_vocabulary.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

using Shape = std::vector<int64_t>;

// A model of one layer, all zeros but for its norms, as fields and tensors to change before it is
// written.
struct TinyFile {
  std::vector<GgufField> fields = {
      {"general.architecture", std::string("llama")},
      {"llama.block_count", uint32_t{1}},
      {"llama.context_length", uint32_t{64}},
      {"llama.embedding_length", uint32_t{32}},
      {"llama.feed_forward_length", uint32_t{64}},
      {"llama.attention.head_count", uint32_t{4}},
      {"llama.attention.head_count_kv", uint32_t{2}},
      {"llama.attention.layer_norm_rms_epsilon", 1e-5f},
      {"tokenizer.ggml.model", std::string("gpt2")},
      {"tokenizer.ggml.pre", std::string("gpt-2")},
      {"tokenizer.ggml.tokens", GgufArray(std::vector<std::string>{"a", "b", "ab", "<e>"})},
      {"tokenizer.ggml.token_type", GgufArray(std::vector<int32_t>{1, 1, 1, 3})},
      {"tokenizer.ggml.merges", GgufArray(std::vector<std::string>{"a b"})},
      {"tokenizer.ggml.eos_token_id", uint32_t{3}},
  };
  std::vector<GgufWriter::TensorInfo> tensors = {
      {"token_embd.weight", GgmlType::kF32, {4, 32}},
      {"output_norm.weight", GgmlType::kF32, {32}},
      {"blk.0.attn_norm.weight", GgmlType::kF32, {32}},
      {"blk.0.attn_q.weight", GgmlType::kF32, {32, 32}},
      {"blk.0.attn_k.weight", GgmlType::kF32, {16, 32}},
      {"blk.0.attn_v.weight", GgmlType::kF32, {16, 32}},
      {"blk.0.attn_output.weight", GgmlType::kF32, {32, 32}},
      {"blk.0.ffn_norm.weight", GgmlType::kF32, {32}},
      {"blk.0.ffn_gate.weight", GgmlType::kF32, {64, 32}},
      {"blk.0.ffn_up.weight", GgmlType::kF32, {64, 32}},
      {"blk.0.ffn_down.weight", GgmlType::kF32, {32, 64}},
  };

  void set(const std::string& key, GgufValue value) {
    for (GgufField& field : fields) {
      if (field.key == key) {
        field.value = std::move(value);
        return;
      }
    }
    fields.push_back({key, std::move(value)});
  }
  void drop(const std::string& key) {
    std::erase_if(fields, [&](const GgufField& f) { return f.key == key; });
    std::erase_if(tensors, [&](const auto& t) { return t.name == key; });
  }
  void shape(const std::string& name, Shape shape) {
    for (auto& t : tensors) {
      if (t.name == name) t.shape = shape;
    }
  }
};

class GgufConfig : public testing::Test {
 protected:
  GgufFile write(const TinyFile& tiny) {
    const fs::path path = folder_ / ("m" + std::to_string(count_++) + ".gguf");
    GgufWriter writer(path, tiny.fields, tiny.tensors);
    for (const auto& tensor : tiny.tensors) {
      int64_t n = 1;
      for (const int64_t d : tensor.shape) n *= d;
      std::vector<float> values(static_cast<size_t>(n), tensor.shape.size() == 1 ? 1.0f : 0.0f);
      for (size_t i = 0; i < values.size(); ++i) {
        if (tensor.shape.size() > 1) values[i] = static_cast<float>(i);
      }
      writer.append(std::as_bytes(std::span(values)));
    }
    writer.finish();
    return GgufFile::open(path);
  }
  ModelConfig config(const TinyFile& tiny) { return gguf_model_config(write(tiny)); }

  void expect_refused(const TinyFile& tiny, const std::string& message) {
    try {
      const GgufFile file = write(tiny);
      Decoder::load_gguf(file, DType::kF32);
      ADD_FAILURE() << "no error; wanted: " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      EXPECT_EQ(error.message(), message);
      EXPECT_NE(error.place().path.find(".gguf"), std::string::npos);
      EXPECT_FALSE(error.hint().empty());
    }
  }
  void expect_vocabulary_refused(const TinyFile& tiny, const std::string& message) {
    try {
      gguf_vocabulary(write(tiny));
      ADD_FAILURE() << "no error; wanted: " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      EXPECT_EQ(error.message(), message);
    }
  }

  TemporaryFolder folder_;
  int count_ = 0;
};

TEST_F(GgufConfig, ReadsSizesFromKeysAndTensors) {
  const ModelConfig c = config({});
  EXPECT_EQ(c.model_type, "llama");
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.num_kv_heads, 2);
  EXPECT_EQ(c.vocab_size, 4);
  EXPECT_EQ(c.rope.theta, 10000.0);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_EQ(c.eos_token_ids, std::vector<int64_t>{3});
}

TEST_F(GgufConfig, PutsRowsInTheOrderForRotatingHalves) {
  const auto decoder = Decoder::load_gguf(write({}), DType::kF32);
  const float* q = decoder->layers()[0].q.value.f32();
  // Row 2i + s of a head of 8 became row 4s + i; a row begins with 32 times its old number.
  const std::vector<float> rows = {0, 2, 4, 6, 1, 3, 5, 7, 8, 10};
  for (size_t r = 0; r < rows.size(); ++r) EXPECT_EQ(q[r * 32], rows[r] * 32) << r;
  const float* v = decoder->layers()[0].v.value.f32();
  for (size_t r = 0; r < 16; ++r) EXPECT_EQ(v[r * 32], static_cast<float>(r * 32));
}

TEST_F(GgufConfig, KnowsWhatOnlyTheNameSays) {
  TinyFile smollm3;
  for (GgufField& f : smollm3.fields) {
    if (f.key.starts_with("llama.")) f.key = "smollm3." + f.key.substr(6);
  }
  smollm3.set("general.architecture", std::string("smollm3"));
  smollm3.set("smollm3.block_count", uint32_t{4});
  for (const char* layer : {"1", "2", "3"}) {
    smollm3.tensors.push_back(
        {std::string("blk.") + layer + ".ffn_down.weight", GgmlType::kF32, {32, 64}});
  }
  const ModelConfig c = config(smollm3);
  EXPECT_TRUE(c.layer_attention[2].has_rope);
  EXPECT_FALSE(c.layer_attention[3].has_rope);
}

TEST_F(GgufConfig, ReadsRulesOfRotation) {
  TinyFile linear;
  linear.set("llama.rope.scaling.type", std::string("linear"));
  linear.set("llama.rope.scaling.factor", 2.0f);
  EXPECT_EQ(config(linear).rope.frequencies(8, 10)[0], 0.5);
  TinyFile yarn;
  yarn.set("llama.rope.scaling.type", std::string("yarn"));
  yarn.set("llama.rope.scaling.factor", 4.0f);
  yarn.set("llama.rope.scaling.original_context_length", uint32_t{16});
  EXPECT_NEAR(config(yarn).rope.attention_factor, 1.138629, 1e-5);
  EXPECT_EQ(config(yarn).rope.original_max_positions, 16);
  TinyFile freqs;
  freqs.tensors.push_back({"rope_freqs.weight", GgmlType::kF32, {4}});
  EXPECT_EQ(config(freqs).rope.frequencies(8, 10)[0], 1.0);
  freqs.tensors.back().shape = {3};
  expect_refused(freqs, "the tensor \"rope_freqs.weight\" is not F32 [4]");
  TinyFile other;
  other.set("llama.rope.scaling.type", std::string("su"));
  expect_refused(other, "the key \"llama.rope.scaling.type\" is \"su\", which is not supported");
}

TEST_F(GgufConfig, RefusesWhatContradictsItself) {
  TinyFile t;
  t.set("general.architecture", std::string("mamba"));
  expect_refused(t, "the model's architecture \"mamba\" is not supported");
  t = {};
  t.drop("llama.block_count");
  expect_refused(t, "the key \"llama.block_count\" is missing");
  t = {};
  t.set("llama.block_count", uint32_t{0});
  expect_refused(t, "the key \"llama.block_count\" is 0, not a size from 1 to 1024");
  t = {};
  t.set("llama.block_count", uint32_t{2});
  expect_refused(t, "there is no tensor \"blk.1.ffn_down.weight\"");
  t = {};
  t.set("llama.attention.head_count_kv", uint32_t{3});
  expect_refused(
      t, "the key \"llama.attention.head_count\" is no multiple of attention.head_count_kv");
  t = {};
  t.set("llama.attention.head_count", uint32_t{5});
  t.set("llama.attention.head_count_kv", uint32_t{5});
  expect_refused(t, "the key \"llama.embedding_length\" is no multiple of attention.head_count");
  t = {};
  t.set("llama.attention.layer_norm_rms_epsilon", -1.0f);
  expect_refused(t, "the key \"llama.attention.layer_norm_rms_epsilon\" is not above 0");
  t = {};
  t.set("llama.expert_count", uint32_t{300});
  expect_refused(t, "the key \"llama.expert_count\" is 300, not a size from 1 to 256");
  t = {};
  t.shape("blk.0.attn_k.weight", {32, 32});
  expect_refused(t,
                 "the tensor \"blk.0.attn_k.weight\" has shape [32, 32], the file's keys ask for "
                 "[16, 32]");
  t = {};
  t.drop("blk.0.attn_norm.weight");
  expect_refused(t, "there is no tensor \"blk.0.attn_norm.weight\"");
  t = {};
  t.tensors.push_back({"blk.0.surprise.weight", GgmlType::kF32, {8}});
  expect_refused(
      t, "the tensor \"blk.0.surprise.weight\" is none that a model of this architecture has");
  t = {};
  t.set("split.count", uint16_t{3});
  expect_refused(t, "the file is one of 3 parts of a model");
  t = {};
  t.set("general.type", std::string("adapter"));
  expect_refused(t, "the file holds no model, but of type \"adapter\"");
}

TEST_F(GgufConfig, RefusesVocabulariesThatDoNotFit) {
  TinyFile t;
  t.set("tokenizer.ggml.model", std::string("bert"));
  expect_vocabulary_refused(t, "the key \"tokenizer.ggml.model\" is \"bert\", not gpt2 or llama");
  t = {};
  t.drop("tokenizer.ggml.tokens");
  expect_vocabulary_refused(t, "the key \"tokenizer.ggml.tokens\" is missing");
  t = {};
  t.set("tokenizer.ggml.token_type", GgufArray(std::vector<int32_t>{1, 1, 1}));
  expect_vocabulary_refused(
      t, "the key \"tokenizer.ggml.token_type\" has 3 items, there are 4 tokens");
  t = {};
  t.set("tokenizer.ggml.token_type", GgufArray(std::vector<int32_t>{1, 1, 1, 9}));
  expect_vocabulary_refused(t, "the key \"tokenizer.ggml.token_type\" has the item 9");
  t = {};
  t.set("tokenizer.ggml.eos_token_id", uint32_t{4});
  expect_vocabulary_refused(t, "the key \"tokenizer.ggml.eos_token_id\" is 4, there are 4 tokens");
  t = {};
  t.set("tokenizer.ggml.merges", GgufArray(std::vector<int32_t>{1}));
  expect_vocabulary_refused(
      t, "the key \"tokenizer.ggml.merges\" is no list of the type that is wanted");
}

}  // namespace
}  // namespace dlm
