// The collector against sums taken from a graph that keeps all its values, and its cache.
#include "export/imatrix_collector.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "export/imatrix_cache.h"
#include "support/error.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

ModelConfig mixtral_config() {
  ModelConfig c = tiny_model_config();
  c.model_type = "mixtral";
  c.num_experts = 4;
  c.experts_per_token = 2;
  return c;
}

std::vector<TokenRow> rows_of(std::initializer_list<int64_t> lengths) {
  std::vector<TokenRow> rows;
  uint64_t state = 1;
  for (const int64_t length : lengths) {
    TokenRow row;
    row.loss_begin = 0;
    for (int64_t i = 0; i < length; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      row.tokens.push_back(static_cast<int32_t>(state >> 40) % 300);
    }
    rows.push_back(row);
  }
  return rows;
}

// Rows that begin alike give what they give in passes of their own.
TEST(ImatrixCollector, CountsABeginningForEachRowThatHasIt) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  Device device(2);
  std::vector<TokenRow> rows = rows_of({30, 50, 44, 30});
  std::copy_n(rows[0].tokens.begin(), 20, rows[1].tokens.begin());
  std::copy_n(rows[1].tokens.begin(), 40, rows[2].tokens.begin());
  ImatrixOptions apart;
  apart.chunk_tokens = 50;
  const ImatrixCollection shared = collect_imatrix(*decoder, nullptr, rows, {}, device);
  const ImatrixCollection alone = collect_imatrix(*decoder, nullptr, rows, apart, device);
  ASSERT_EQ(shared.imatrix->chunk_count, 1);
  ASSERT_EQ(alone.imatrix->chunk_count, 4);
  EXPECT_EQ(shared.num_tokens, 154);
  ASSERT_EQ(shared.imatrix->entries.size(), alone.imatrix->entries.size());
  for (const auto& [name, entry] : shared.imatrix->entries) {
    const ImatrixEntry& other = alone.imatrix->entries.at(name);
    EXPECT_EQ(entry.counts, other.counts) << name;
    for (size_t c = 0; c < entry.sums.size(); ++c) {
      ASSERT_NEAR(entry.sums[c], other.sums[c], 1e-5 * other.sums[c]) << name << ' ' << c;
    }
  }
}

TEST(ImatrixCollector, SumsTheSquaresOfEachLayersInput) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  Device device(1);
  const std::vector<TokenRow> rows = rows_of({40, 23});
  const ImatrixCollection found = collect_imatrix(*decoder, nullptr, rows, {"notes"}, device);
  ASSERT_TRUE(found.imatrix.has_value());
  EXPECT_EQ(found.num_tokens, 63);
  EXPECT_EQ(found.imatrix->dataset, "notes");
  EXPECT_EQ(found.imatrix->chunk_count, 1);
  EXPECT_EQ(found.imatrix->entries.size(), 14U);  // seven layers in each of two blocks

  // The same from a graph whose values all stay: an op's input is the value it reads.
  const auto graph = build_graph(*decoder, nullptr, GraphUse::kHidden, 512);
  Exec exec(graph->graph, device);
  Batch batch;
  for (const TokenRow& row : rows) batch.add_row(row.tokens, {}, 0);
  exec.forward(batch);
  int num_compared = 0;
  for (const auto& op : graph->graph.ops()) {
    if (op->name() != "linear") continue;
    const ValueId x = op->reads().front();
    const int64_t columns = exec.graph().cols(x);
    for (const auto& [layer, weight] : decoder->linear_layers()) {
      const auto parameters = op->parameters();
      if (std::find(parameters.begin(), parameters.end(), weight) == parameters.end()) continue;
      const bool is_q = layer.ends_with("q_proj"), is_down = layer.ends_with("down_proj");
      if (!is_q && !is_down) continue;
      const std::string name = "blk." + layer.substr(std::strlen("model.layers."), 1) +
                               (is_q ? ".attn_q.weight" : ".ffn_down.weight");
      const ImatrixEntry& entry = found.imatrix->entries.at(name);
      ASSERT_EQ(entry.columns, columns);
      EXPECT_EQ(entry.counts, (std::vector<int64_t>{63}));
      for (int64_t c = 0; c < columns; ++c) {
        double sum = 0;
        for (int64_t t = 0; t < 63; ++t) {
          const double v = static_cast<double>(exec.data<float>(x)[t * columns + c]);
          sum += v * v;
        }
        EXPECT_EQ(entry.sums[static_cast<size_t>(c)], static_cast<float>(sum)) << name;
      }
      ++num_compared;
    }
  }
  EXPECT_EQ(num_compared, 4);
}

TEST(ImatrixCollector, LayersThatShareAnInputShareTheirSums) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  Device device(1);
  const auto found = collect_imatrix(*decoder, nullptr, rows_of({50}), {}, device);
  const auto& entries = found.imatrix->entries;
  EXPECT_EQ(entries.at("blk.1.attn_q.weight"), entries.at("blk.1.attn_k.weight"));
  EXPECT_EQ(entries.at("blk.1.attn_q.weight"), entries.at("blk.1.attn_v.weight"));
  EXPECT_EQ(entries.at("blk.1.ffn_gate.weight"), entries.at("blk.1.ffn_up.weight"));
  EXPECT_NE(entries.at("blk.0.attn_q.weight"), entries.at("blk.1.attn_q.weight"));
  EXPECT_FALSE(entries.contains("output.weight"));
  EXPECT_FALSE(entries.contains("token_embd.weight"));
}

TEST(ImatrixCollector, ExpertsCountTheTokensThatChoseThem) {
  const auto decoder = Decoder::random(mixtral_config(), DType::kF32, 3);
  Device device(2);
  const auto found = collect_imatrix(*decoder, nullptr, rows_of({70}), {}, device);
  const ImatrixEntry& up = found.imatrix->entries.at("blk.0.ffn_up_exps.weight");
  const ImatrixEntry& down = found.imatrix->entries.at("blk.0.ffn_down_exps.weight");
  ASSERT_EQ(up.counts.size(), 4U);
  int64_t total = 0;
  for (const int64_t count : up.counts) total += count;
  EXPECT_EQ(total, 2 * 70);
  EXPECT_EQ(up.counts, down.counts);
  EXPECT_EQ(up.columns, 64);
  EXPECT_EQ(down.columns, 128);
  EXPECT_EQ(found.imatrix->entries.at("blk.0.attn_q.weight").counts, (std::vector<int64_t>{70}));
}

TEST(ImatrixCollector, AnAdapterChangesWhatLaterLayersRead) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  Device device(1);
  const auto rows = rows_of({64});
  const auto base = collect_imatrix(*decoder, nullptr, rows, {}, device);
  const auto adapter = LoraAdapter::create(*decoder, {}, 1);
  for (Parameter* p : adapter->parameters()) {
    for (int64_t i = 0; i < p->value.numel(); ++i) p->value.mutable_f32()[i] = 0.05f;
  }
  const auto merged = collect_imatrix(*decoder, adapter.get(), rows, {}, device);
  EXPECT_EQ(merged.imatrix->entries.size(), 14U);
  EXPECT_EQ(base.imatrix->entries.at("blk.0.attn_q.weight"),
            merged.imatrix->entries.at("blk.0.attn_q.weight"));
  EXPECT_NE(base.imatrix->entries.at("blk.1.attn_q.weight"),
            merged.imatrix->entries.at("blk.1.attn_q.weight"));
}

TEST(ImatrixCollector, ThreadsDoNotChangeABit) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  const auto rows = rows_of({100, 300, 700, 9});
  Device one(1), three(3);
  EXPECT_EQ(collect_imatrix(*decoder, nullptr, rows, {}, one).imatrix->entries,
            collect_imatrix(*decoder, nullptr, rows, {}, three).imatrix->entries);
}

TEST(ImatrixCollector, TakesSomeChunksSpreadOverALongDocument) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  Device device(1);
  ImatrixOptions options;
  options.chunk_tokens = 32;
  options.max_chunks = 3;
  const auto found = collect_imatrix(*decoder, nullptr, rows_of({320}), options, device);
  EXPECT_EQ(found.num_tokens, 96);
  EXPECT_EQ(found.num_all_tokens, 320);
  EXPECT_EQ(found.imatrix->chunk_count, 3);
  EXPECT_EQ(found.notice,
            "the importance matrix rests on 96 of the document's 320 tokens, spread evenly");
}

TEST(ImatrixCollector, TooFewTokensGiveNone) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  Device device(1);
  const auto none = collect_imatrix(*decoder, nullptr, rows_of({10, 5}), {}, device);
  EXPECT_FALSE(none.imatrix.has_value());
  EXPECT_EQ(none.notice,
            "the document has 15 tokens, too few for an importance matrix: quantized without one");
  const auto few = collect_imatrix(*decoder, nullptr, rows_of({10, 6}), {}, device);
  EXPECT_TRUE(few.imatrix.has_value());
  EXPECT_EQ(few.notice, "the importance matrix rests on 16 tokens only");
  EXPECT_EQ(collect_imatrix(*decoder, nullptr, rows_of({500, 500, 24}), {}, device).notice, "");
}

TEST(ImatrixCollector, RefusesAModelThatIsNotFinite) {
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
  decoder->layers()[0].up.value.mutable_f32()[5] = INFINITY;
  Device device(1);
  EXPECT_THROW(collect_imatrix(*decoder, nullptr, rows_of({32}), {}, device), Error);
}

class ImatrixCache : public ::testing::Test {
 protected:
  ImatrixCollection collection() {
    const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 3);
    Device device(1);
    return collect_imatrix(*decoder, nullptr, rows_, {"notes"}, device);
  }
  std::vector<TokenRow> rows_ = rows_of({40, 23});
  ImatrixSource source_ = {"base", "full", "adapter", "1", "tokenizer", "rows", "avx2"};
  TemporaryFolder folder_;
};

TEST_F(ImatrixCache, GivesBackWhatWasStoredUnderItsKey) {
  const ImatrixCollection made = collection();
  const std::string key = imatrix_key(source_, {});
  EXPECT_FALSE(cached_imatrix(folder_.path(), key).has_value());
  store_imatrix(folder_.path(), made, key);
  const auto cached = cached_imatrix(folder_.path(), key);
  ASSERT_TRUE(cached.has_value());
  EXPECT_EQ(cached->imatrix->entries, made.imatrix->entries);
  EXPECT_EQ(cached->notice, made.notice);
  EXPECT_EQ(cached->num_tokens, 63);
  EXPECT_FALSE(cached_imatrix(folder_.path(), std::string(64, '0')).has_value());
}

TEST_F(ImatrixCache, EveryInputIsInTheKey) {
  const std::string key = imatrix_key(source_, {});
  for (std::string ImatrixSource::*field :
       {&ImatrixSource::base_sha256, &ImatrixSource::base_weights, &ImatrixSource::adapter_sha256,
        &ImatrixSource::adapter_weight, &ImatrixSource::tokenizer_sha256,
        &ImatrixSource::rows_sha256, &ImatrixSource::instruction_set}) {
    ImatrixSource other = source_;
    other.*field += "x";
    EXPECT_NE(imatrix_key(other, {}), key);
  }
  ImatrixOptions options;
  options.max_chunks = 5;
  EXPECT_NE(imatrix_key(source_, options), key);
  options = {};
  options.dataset = "another label";
  EXPECT_EQ(imatrix_key(source_, options), key);
}

TEST_F(ImatrixCache, DamagedFilesAreMadeAgain) {
  const std::string key = imatrix_key(source_, {});
  store_imatrix(folder_.path(), collection(), key);
  std::string bytes = read_file(folder_.path() / kImatrixGguf);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file_atomic(folder_.path() / kImatrixGguf, bytes);
  EXPECT_FALSE(cached_imatrix(folder_.path(), key).has_value());
  store_imatrix(folder_.path(), collection(), key);
  write_file_atomic(folder_.path() / kImatrixRecord, "{");
  EXPECT_FALSE(cached_imatrix(folder_.path(), key).has_value());
}

}  // namespace
}  // namespace dlm
