#include "cli/base_measure.h"

#include <fmt/format.h>

#include <algorithm>

#include "bases/locate.h"
#include "cli/console.h"
#include "support/json.h"
#include "train/bits_per_byte.h"
#include "train/corpus.h"

namespace dlm {

namespace {

Json measure_json(const TextMeasure& m) {
  return Json::object({{"bits_per_byte", Json(m.bits_per_byte())},
                       {"nats_per_token", Json(m.nats_per_token())},
                       {"tokens", Json(m.tokens)},
                       {"bytes", Json(m.bytes)}});
}

std::string measure_line(const std::string& name, const TextMeasure& m) {
  return fmt::format("{:>8.3f}  {:>10}  {:>12}  {}\n", m.bits_per_byte(), m.tokens, m.bytes, name);
}

}  // namespace

int run_measure(const std::string& base, const MeasureOptions& options, bool as_json,
                const GlobalOptions& globals) {
  const fs::path folder = locate_base(base, base_search());
  const std::vector<CorpusFile> files = list_corpus({options.texts.begin(), options.texts.end()});
  Device device(globals.num_threads);
  const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
  const auto decoder = Decoder::load(folder, device.preferred_dtype());
  const int64_t context = std::min(options.context, decoder->config().max_positions);
  Json listed = Json::array();
  std::string text =
      fmt::format("{:>8}  {:>10}  {:>12}  {}\n", "BITS/B", "TOKENS", "BYTES", "TEXT");
  TextMeasure all;
  for (const CorpusFile& file : files) {
    const TextMeasure one =
        measure_text(*decoder, tokenizer, read_corpus_file(file, 0).training, context, device);
    all.nats += one.nats;
    all.tokens += one.tokens;
    all.bytes += one.bytes;
    text += measure_line(file.name, one);
    Json json = Json::object({{"text", Json(file.name)}});
    const Json values = measure_json(one);
    for (const auto& [key, value] : values.members()) json.set(key, value);
    listed.push_back(std::move(json));
  }
  if (as_json) {
    Json json = Json::object({{"base", Json(base)}, {"context", Json(context)}});
    json.set("texts", std::move(listed));
    json.set("all", measure_json(all));
    write_out(json.dump(2) + "\n");
    return 0;
  }
  if (files.size() > 1) text += measure_line("all", all);
  write_out(text);
  return 0;
}

}  // namespace dlm
