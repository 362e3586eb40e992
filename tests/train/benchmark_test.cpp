// The benchmark's arithmetic by hand, and one run of it on a decoder of a few thousand weights:
// that its numbers hang together, never how large they are.
#include "train/benchmark.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/cpu/gemm.h"
#include "support/error.h"
#include "train/gemm_roof.h"

namespace dlm {
namespace {

ModelConfig tiny_shapes() {
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = 32;
  c.intermediate_size = 64;
  c.num_layers = 2;
  c.num_heads = 2;
  c.num_kv_heads = 1;
  c.head_dim = 16;
  c.vocab_size = 96;
  c.max_positions = 64;
  c.tie_word_embeddings = true;
  return c;
}

TEST(Benchmark, SpreadTakesTheMiddleValue) {
  const Spread odd = spread_of({5, 1, 3});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 5);
  EXPECT_EQ(spread_of({4, 1, 2, 9}).median, 3);
}

// One layer, 2 heads of 4, 1 key-value head, hidden 8, ffn 16, vocabulary 10; one row of 3 tokens.
TEST(Benchmark, CountsTheOperationsOfAStepByHand) {
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = 8;
  c.intermediate_size = 16;
  c.num_layers = 1;
  c.num_heads = 2;
  c.num_kv_heads = 1;
  c.head_dim = 4;
  c.vocab_size = 10;
  const StepFlops flops = step_flops(c, 1, 3, 2);
  // q 8x8, k and v 4x8, o 8x8, gate and up 16x8, down 8x16; head 10x8.
  const double forward = 64 + 32 + 32 + 64 + 128 + 128 + 128 + 80;
  const double input_gradients = forward - (64 + 32 + 32);
  EXPECT_EQ(flops.linear, 2 * 3 * (forward + input_gradients));
  // Rank 2; x A^T and dA meet each input, h B, dB and dh each output, dx all inputs but those of q,
  // k, v.
  const double inputs = 8 + 8 + 8 + 8 + 8 + 8 + 16;
  const double outputs = 8 + 4 + 4 + 8 + 16 + 16 + 8;
  EXPECT_EQ(flops.lora, 2 * 3 * 2 * (2 * inputs + 3 * outputs + (inputs - 24)));
  // 1 + 2 + 3 pairs of query and key, 8 numbers each, scores and sums: 2 * 2 * 8 * 6, and 2.5 times
  // back.
  EXPECT_EQ(flops.attention, 192 * 3.5);
  EXPECT_EQ(flops.total(), flops.linear + flops.lora + flops.attention);
}

// One expert a token costs what a dense layer does; a second one its three layers more.
TEST(Benchmark, CountsOfExpertsThoseThatATokenTakes) {
  const ModelConfig dense = tiny_shapes();
  ModelConfig c = dense;
  c.model_type = "mixtral";
  c.num_experts = 4;
  c.experts_per_token = 1;
  const StepFlops one = step_flops(c, 2, 32, 8);
  EXPECT_EQ(one.total(), step_flops(dense, 2, 32, 8).total());
  c.experts_per_token = 2;
  const StepFlops two = step_flops(c, 2, 32, 8);
  const auto sides = static_cast<double>(c.num_layers * 3 * (c.hidden_size + c.intermediate_size));
  EXPECT_EQ(two.lora - one.lora, 2.0 * 64 * 8 * 3 * sides);
}

TEST(Benchmark, RowsDoNotAttendToEachOther) {
  const ModelConfig c = tiny_shapes();
  const StepFlops two = step_flops(c, 2, 32, 8);
  const StepFlops one = step_flops(c, 1, 64, 8);
  EXPECT_EQ(two.linear, one.linear);
  EXPECT_EQ(two.attention * (64 * 65), one.attention * (2 * 32 * 33));
}

TEST(GemmRoof, HoldsTheProductsThatAStepNeeds) {
  const auto decoder = Decoder::tiled(tiny_shapes(), DType::kF32);
  const std::vector<RoofProduct> products = step_products(*decoder);
  // Two for the head, seven layers twice in each of two blocks, less the lowest q, k and v.
  EXPECT_EQ(products.size(), 2u + 2 * 14 - 3);
  double operations = 0;
  for (const RoofProduct& p : products) {
    operations += 2.0 * 64 * static_cast<double>(p.inner() * p.outer());
  }
  EXPECT_EQ(operations, step_flops(tiny_shapes(), 2, 32, 8).linear);
}

TEST(Benchmark, TiledWeightsFillEveryMatrixAndVector) {
  const auto decoder = Decoder::tiled(tiny_shapes(), DType::kF32);
  for (const Parameter* p : decoder->parameters()) {
    int64_t zeros = 0;
    double squares = 0;
    for (int64_t i = 0; i < p->value.numel(); ++i) {
      const double x = static_cast<double>(p->value.f32()[i]);
      zeros += x == 0 ? 1 : 0;
      squares += x * x;
    }
    EXPECT_EQ(zeros, 0) << p->name;
    const double deviation = std::sqrt(squares / static_cast<double>(p->value.numel()));
    EXPECT_NEAR(deviation, p->value.shape().size() == 2 ? 0.02 : 1.0, 0.003) << p->name;
  }
}

class BenchmarkRun : public ::testing::Test {
 protected:
  static const BenchmarkResult& result() {
    static const BenchmarkResult r = [] {
      Device device(2);
      BenchmarkOptions options;
      options.base_key = "tiny";
      options.pairs = 3;
      options.row_tokens = 512;  // cut to the context of 64
      options.prompt_tokens = 8;
      options.decode_tokens = 4;
      options.read_bytes = uint64_t{4} << 20;
      return run_benchmark(tiny_shapes(), device, options);
    }();
    return r;
  }
};

TEST_F(BenchmarkRun, NamesTheMachineryThatItUsed) {
  EXPECT_EQ(result().base_key, "tiny");
  EXPECT_EQ(result().instruction_set, isa_name(isa_tier()));
  EXPECT_EQ(result().onednn_version, onednn_version());
  EXPECT_EQ(result().dtype, has_bf16_products(isa_tier()) ? "bf16" : "f32");
  EXPECT_EQ(result().threads, 2);
  EXPECT_EQ(result().tokens_per_step, 2 * 64);
}

TEST_F(BenchmarkRun, ShareOfTheRoofFollowsFromItsParts) {
  const BenchmarkResult& r = result();
  const double seconds = 128 / r.train_tokens_per_s.median;
  EXPECT_DOUBLE_EQ(r.train_share_of_roof.median,
                   r.flops.total() / seconds / (r.gemm_roof_gflops.median * 1e9));
}

TEST_F(BenchmarkRun, EveryMeasurementIsPositiveAndInsideItsSpread) {
  const BenchmarkResult& r = result();
  for (const Spread& s :
       {r.gemm_roof_gflops, r.train_tokens_per_s, r.decode_tokens_per_s, r.read_bandwidth_gbs}) {
    EXPECT_GT(s.min, 0);
    EXPECT_LE(s.min, s.median);
    EXPECT_LE(s.median, s.max);
  }
  EXPECT_GT(r.peak_rss_mb, 1);
  EXPECT_TRUE(r.roof_layout == "file" || r.roof_layout == "packed");
  EXPECT_EQ(r.roof_tile_tokens, 128);
}

// Rows of 32 fill half a block: 68 bytes a row in 8 bits; 33 in 4, and 8 more for each of the 14
// layers' one group of scales. The adapter has 8,192 numbers.
TEST_F(BenchmarkRun, CountsTheBytesThatATokenReads) {
  const BenchmarkResult& r = result();
  ASSERT_EQ(r.decoding.size(), 3u);
  const double full = r.dtype == "bf16" ? 2 : 4;
  const double held = trains_as_stored(DType::kF32, DType::kBF16) ? 2 : full;
  EXPECT_EQ(r.decoding[0].weights, r.dtype);
  EXPECT_EQ(r.decoding[0].bytes_per_token, held * (18432 + 3072) + 4 * 8192);
  EXPECT_EQ(r.decoding[1].weights, "int8");
  EXPECT_EQ(r.decoding[1].bytes_per_token, 68 * (512 + 96) + 4 * 8192);
  EXPECT_EQ(r.decoding[2].weights, "nf4");
  EXPECT_EQ(r.decoding[2].bytes_per_token, 33 * 512 + 14 * 8 + 68 * 96 + 4 * 8192);
  EXPECT_EQ(r.decode_tokens_per_s.median, r.decoding[0].tokens_per_s.median);
  for (const DecodeResult& d : r.decoding) {
    // Two layers, keys and values of 16 numbers, 9 to 12 lines.
    EXPECT_EQ(d.kv_bytes_per_token, full * 2 * 2 * 16 * 10.5);
    for (const Spread& s : {d.tokens_per_s, d.share_of_bandwidth}) {
      EXPECT_GT(s.min, 0);
      EXPECT_LE(s.min, s.median);
      EXPECT_LE(s.median, s.max);
    }
  }
}

// Two of four experts of 3 * 2048 numbers a layer; the first layer sees five lines, the other 9
// to 12.
TEST(Benchmark, CountsOfExpertsAndKeysOnlyWhatATokenReads) {
  ModelConfig c = tiny_shapes();
  c.model_type = "mixtral";
  c.num_experts = 4;
  c.experts_per_token = 2;
  c.layer_attention = {{.window = 5}, {}};
  Device device(1);
  const auto decoder = Decoder::tiled(c, DType::kF32);
  ReadBandwidth bandwidth(device, 1 << 20);
  const DecodeResult r = measure_decoding("f32", *decoder, nullptr, device, bandwidth, {8, 4, 1});
  EXPECT_EQ(r.bytes_per_token, 4.0 * (2 * (2 * 32 * 32 + 2 * 16 * 32 + 2 * 3 * 2048) + 96 * 32));
  EXPECT_EQ(r.kv_bytes_per_token, 4.0 * 2 * 16 * (5 + 10.5));
  EXPECT_GT(r.share_of_bandwidth.min, 0);
}

TEST_F(BenchmarkRun, MeasuresTheStepOnABaseIn4Bits) {
  EXPECT_GT(result().qlora_tokens_per_s.min, 0);
  EXPECT_GE(result().qlora_peak_rss_mb, 0);
}

TEST(Benchmark, RefusesABaseThatDoesNotFitIntoMemory) {
  ModelConfig c = tiny_shapes();
  c.vocab_size = int64_t{1} << 30;
  c.hidden_size = int64_t{1} << 20;
  Device device(1);
  try {
    run_benchmark(c, device, {});
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kTrain);
    EXPECT_TRUE(e.message().starts_with("the benchmark needs ")) << e.message();
    EXPECT_EQ(e.hint(), "measure a smaller base: --base smollm2-135m");
  }
}

BenchmarkResult literal_result() {
  BenchmarkResult r;
  r.base_key = "smollm2-135m";
  r.instruction_set = "avx512_bf16";
  r.onednn_version = "2.6.3";
  r.dtype = "bf16";
  r.threads = 2;
  r.tokens_per_step = 1024;
  r.flops.linear = 5e11;
  r.flops.lora = 1e10;
  r.flops.attention = 5e9;
  r.gemm_roof_gflops = {400.126, 390, 410};
  r.roof_layout = "packed";
  r.roof_tile_tokens = 256;
  r.train_tokens_per_s = {640.04, 600, 650};
  r.train_share_of_roof = {0.80456, 0.75, 0.82};
  r.peak_rss_mb = 812.4;
  r.predicted_rss_mb = 800.5;
  r.decode_tokens_per_s = {61.25, 60, 62};
  r.read_bandwidth_gbs = {18.5, 18, 19.25};
  r.decoding = {{"int8", 143e6, 2.9e6, {412.5, 400, 420}, {80.5, 79, 81}, {0.755, 0.75, 0.76}}};
  r.qlora_tokens_per_s = {600, 590, 610};
  r.qlora_peak_rss_mb = 700;
  r.short_rows = {64.5, 230, {500, 490, 510}, {200, 195, 205}};
  return r;
}

TEST(Benchmark, WritesJson) {
  EXPECT_EQ(benchmark_json(literal_result()).dump(),
            "{\"base\":\"smollm2-135m\",\"instruction_set\":\"avx512_bf16\",\"threads\":2,"
            "\"onednn_version\":\"2.6.3\",\"dtype\":\"bf16\",\"tokens_per_step\":1024,"
            "\"needed_gflop_per_step\":515.0,\"gemm_roof_gflops\":400.1,\"roof_layout\":\"packed\","
            "\"roof_tile_tokens\":256,\"train_tokens_per_s\":640.0,\"train_share_of_roof\":0.8046,"
            "\"peak_rss_mb\":812.4,\"predicted_rss_mb\":800.5,\"qlora_tokens_per_s\":600.0,"
            "\"qlora_peak_rss_mb\":700.0,\"short_rows\":{\"mean_row_tokens\":64.5,"
            "\"longest_row_tokens\":230,\"tokens_per_s\":500.0,\"padded_tokens_per_s\":200.0,"
            "\"gain\":2.5},\"decode_tokens_per_s\":61.25,\"read_bandwidth_gbs\":18.5,"
            "\"decoding\":[{\"weights\":\"int8\",\"mb_per_token\":143.0,\"kv_mb_per_token\":2.9,"
            "\"tokens_per_s\":80.5,\"share_of_bandwidth\":0.755,\"spread\":[79.0,81.0]}],"
            "\"spread\":{\"gemm_roof_gflops\":[390.0,410.0],\"train_tokens_per_s\":[600.0,650.0],"
            "\"train_share_of_roof\":[0.75,0.82],\"qlora_tokens_per_s\":[590.0,610.0],"
            "\"decode_tokens_per_s\":[60.0,62.0],"
            "\"read_bandwidth_gbs\":[18.0,19.25]}}");
}

TEST(Benchmark, WritesText) {
  EXPECT_EQ(benchmark_text(literal_result()),
            "base smollm2-135m, bf16, avx512_bf16, 2 threads, oneDNN 2.6.3\n"
            "matrix product roof      400.1 GFLOP/s    (390.0 to 410.0)\n"
            "training                 640.0 tokens/s   (600.0 to 650.0)\n"
            "share of the roof         80.5 %          (75.0 to 82.0)\n"
            "peak memory              812.4 MiB        (800.5 planned)\n"
            "short rows               500.0 tokens/s   (490.0 to 510.0)\n"
            "... padded               200.0 tokens/s   (195.0 to 205.0)\n"
            "on a 4-bit base          600.0 tokens/s   (590.0 to 610.0)\n"
            "... peak memory          700.0 MiB\n"
            "generation, int8          80.5 tokens/s   (79.0 to 81.0)\n"
            "... of reading            75.5 %          (75.0 to 76.0)\n"
            "memory reading            18.5 GB/s       (18.0 to 19.2)\n");
}

}  // namespace
}  // namespace dlm
