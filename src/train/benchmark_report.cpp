// What the benchmark found, for programs and for people.

#include <charconv>

#include "train/benchmark.h"

namespace dlm {

namespace {

// Four significant digits are more than such measurements hold; shorter numbers stay readable.
double rounded(double value) {
  char text[64];
  const auto end =
      std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific, 3);
  double back = 0;
  std::from_chars(text, end.ptr, back);
  return back;
}

std::string fixed(double value, int digits) {
  char text[400];
  const auto end =
      std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed, digits);
  return {text, end.ptr};
}

std::string padded(const std::string& text, size_t width, bool to_right) {
  const std::string blanks(text.size() < width ? width - text.size() : 0, ' ');
  return to_right ? blanks + text : text + blanks;
}

Json min_max(const Spread& spread) {
  return Json::array({Json(rounded(spread.min)), Json(rounded(spread.max))});
}

std::string line(const char* name, double value, const char* unit) {
  return padded(name, 20, false) + padded(fixed(value, 1), 10, true) + " " + unit;
}

std::string line(const char* name, const Spread& spread, const char* unit, double scale = 1) {
  return padded(line(name, spread.median * scale, unit), 42, false) + "(" +
         fixed(spread.min * scale, 1) + " to " + fixed(spread.max * scale, 1) + ")\n";
}

Json short_rows_json(const ShortRowsResult& r) {
  Json json = Json::object();
  json.set("mean_row_tokens", rounded(r.mean_row_tokens));
  json.set("longest_row_tokens", r.longest_row_tokens);
  json.set("tokens_per_s", rounded(r.tokens_per_s.median));
  json.set("padded_tokens_per_s", rounded(r.padded_tokens_per_s.median));
  json.set("gain", rounded(r.gain()));
  return json;
}

Json decode_json(const DecodeResult& r) {
  Json json = Json::object();
  json.set("weights", r.weights);
  json.set("mb_per_token", rounded(r.bytes_per_token / 1e6));
  json.set("kv_mb_per_token", rounded(r.kv_bytes_per_token / 1e6));
  json.set("tokens_per_s", rounded(r.tokens_per_s.median));
  json.set("share_of_bandwidth", rounded(r.share_of_bandwidth.median));
  json.set("spread", min_max(r.tokens_per_s));
  return json;
}

}  // namespace

Json benchmark_json(const BenchmarkResult& r) {
  Json json = Json::object();
  json.set("base", r.base_key);
  json.set("instruction_set", r.instruction_set);
  json.set("threads", r.threads);
  json.set("onednn_version", r.onednn_version);
  json.set("dtype", r.dtype);
  json.set("tokens_per_step", r.tokens_per_step);
  json.set("needed_gflop_per_step", rounded(r.flops.total() / 1e9));
  json.set("gemm_roof_gflops", rounded(r.gemm_roof_gflops.median));
  json.set("roof_layout", r.roof_layout);
  json.set("roof_tile_tokens", r.roof_tile_tokens);
  json.set("train_tokens_per_s", rounded(r.train_tokens_per_s.median));
  json.set("train_share_of_roof", rounded(r.train_share_of_roof.median));
  json.set("peak_rss_mb", rounded(r.peak_rss_mb));
  json.set("predicted_rss_mb", rounded(r.predicted_rss_mb));
  json.set("qlora_tokens_per_s", rounded(r.qlora_tokens_per_s.median));
  json.set("qlora_peak_rss_mb", rounded(r.qlora_peak_rss_mb));
  json.set("short_rows", short_rows_json(r.short_rows));
  json.set("decode_tokens_per_s", rounded(r.decode_tokens_per_s.median));
  json.set("read_bandwidth_gbs", rounded(r.read_bandwidth_gbs.median));
  Json decoding = Json::array();
  for (const DecodeResult& decode : r.decoding) decoding.push_back(decode_json(decode));
  json.set("decoding", std::move(decoding));
  Json spread = Json::object();
  spread.set("gemm_roof_gflops", min_max(r.gemm_roof_gflops));
  spread.set("train_tokens_per_s", min_max(r.train_tokens_per_s));
  spread.set("train_share_of_roof", min_max(r.train_share_of_roof));
  spread.set("qlora_tokens_per_s", min_max(r.qlora_tokens_per_s));
  spread.set("decode_tokens_per_s", min_max(r.decode_tokens_per_s));
  spread.set("read_bandwidth_gbs", min_max(r.read_bandwidth_gbs));
  json.set("spread", std::move(spread));
  return json;
}

std::string benchmark_text(const BenchmarkResult& r) {
  std::string text = r.base_key.empty() ? "" : "base " + r.base_key + ", ";
  text += r.dtype + ", " + r.instruction_set + ", " + std::to_string(r.threads) +
          " threads, oneDNN " + r.onednn_version + "\n";
  text += line("matrix product roof", r.gemm_roof_gflops, "GFLOP/s");
  text += line("training", r.train_tokens_per_s, "tokens/s");
  text += line("share of the roof", r.train_share_of_roof, "%", 100);
  text += padded(line("peak memory", r.peak_rss_mb, "MiB"), 42, false) + "(" +
          fixed(r.predicted_rss_mb, 1) + " planned)\n";
  text += line("short rows", r.short_rows.tokens_per_s, "tokens/s");
  text += line("... padded", r.short_rows.padded_tokens_per_s, "tokens/s");
  text += line("on a 4-bit base", r.qlora_tokens_per_s, "tokens/s");
  text += line("... peak memory", r.qlora_peak_rss_mb, "MiB") + "\n";
  for (const DecodeResult& decode : r.decoding) {
    text += line(("generation, " + decode.weights).c_str(), decode.tokens_per_s, "tokens/s");
    text += line("... of reading", decode.share_of_bandwidth, "%", 100);
  }
  text += line("memory reading", r.read_bandwidth_gbs, "GB/s");
  return text;
}

}  // namespace dlm
