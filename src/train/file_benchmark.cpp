#include "train/file_benchmark.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "infer/session.h"

namespace dlm {

namespace {

constexpr int64_t kPromptTokens = 256;
constexpr int64_t kDecodeTokens = 64;

std::string line(const char* name, const Spread& spread, const char* unit, double scale = 1) {
  return fmt::format("{:<20}{:>10.1f} {:<11}({:.1f} to {:.1f})\n", name, spread.median * scale,
                     unit, spread.min * scale, spread.max * scale);
}

double rounded(double value) {
  return std::stod(fmt::format("{:.3e}", value));
}

Json min_max(const Spread& spread) {
  return Json::array({Json(rounded(spread.min)), Json(rounded(spread.max))});
}

}  // namespace

FileBenchmark run_file_benchmark(const fs::path& gguf, Device& device) {
  const auto begin = std::chrono::steady_clock::now();
  const auto session = Session::open_gguf(gguf, {}, device);
  FileBenchmark result;
  result.open_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.architecture = session->config().model_type;
  result.instruction_set = isa_name(device.tier());
  result.threads = device.pool().num_threads();
  result.file_bytes = fs::file_size(gguf);
  ReadBandwidth bandwidth(device, 0);
  DecodeOptions options;
  // Half of a short context is left to generate in.
  options.prompt_tokens =
      std::clamp(session->config().max_positions / 2, int64_t{1}, kPromptTokens);
  options.decode_tokens = std::clamp(session->config().max_positions - options.prompt_tokens,
                                     int64_t{1}, kDecodeTokens);
  result.decoding =
      measure_decoding("gguf", session->decoder(), nullptr, device, bandwidth, options);
  std::vector<double> readings;
  for (int i = 0; i < 3; ++i) readings.push_back(bandwidth.run() / 1e9);
  result.read_bandwidth_gbs = spread_of(std::move(readings));
  return result;
}

Json file_benchmark_json(const FileBenchmark& r) {
  Json json = Json::object();
  json.set("architecture", r.architecture);
  json.set("instruction_set", r.instruction_set);
  json.set("threads", r.threads);
  json.set("file_bytes", r.file_bytes);
  json.set("open_seconds", rounded(r.open_seconds));
  json.set("bytes_per_token", rounded(r.decoding.bytes_per_token));
  json.set("kv_bytes_per_token", rounded(r.decoding.kv_bytes_per_token));
  json.set("prompt_tokens_per_s", rounded(r.decoding.prompt_tokens_per_s.median));
  json.set("decode_tokens_per_s", rounded(r.decoding.tokens_per_s.median));
  json.set("share_of_bandwidth", rounded(r.decoding.share_of_bandwidth.median));
  json.set("read_bandwidth_gbs", rounded(r.read_bandwidth_gbs.median));
  Json spread = Json::object();
  spread.set("prompt_tokens_per_s", min_max(r.decoding.prompt_tokens_per_s));
  spread.set("decode_tokens_per_s", min_max(r.decoding.tokens_per_s));
  spread.set("share_of_bandwidth", min_max(r.decoding.share_of_bandwidth));
  spread.set("read_bandwidth_gbs", min_max(r.read_bandwidth_gbs));
  json.set("spread", std::move(spread));
  return json;
}

std::string file_benchmark_text(const FileBenchmark& r) {
  std::string text =
      fmt::format("{}, {:.1f} MB, {}, {} threads\n", r.architecture,
                  static_cast<double>(r.file_bytes) / 1e6, r.instruction_set, r.threads);
  text += fmt::format("{:<20}{:>10.3f} s\n", "opening", r.open_seconds);
  text += line("prompt", r.decoding.prompt_tokens_per_s, "tokens/s");
  text += line("generation", r.decoding.tokens_per_s, "tokens/s");
  text += line("... of reading", r.decoding.share_of_bandwidth, "%", 100);
  text += line("memory reading", r.read_bandwidth_gbs, "GB/s");
  return text;
}

}  // namespace dlm
