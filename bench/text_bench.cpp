// What text costs on one core: reading a tokenizer.json, encoding and decoding with it, and parsing
// documents made of the same text: text_bench TOKENIZER.json TEXT.txt [--benchmark_...].

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "doc/document.h"
#include "support/error.h"
#include "support/file.h"
#include "support/text.h"
#include "text/tokenizer.h"

namespace dlm {
namespace {

constexpr size_t kTextBytes = size_t{10} << 20;
// A section of a document, or a row's text.
constexpr size_t kPieceBytes = 2000;

// At most 10 MiB of the file, cut where a line ends.
std::string read_text(const char* path) {
  std::string text = read_file(path);
  if (text.size() > kTextBytes) text.resize(text.rfind('\n', kTextBytes) + 1);
  return text;
}

void set_bytes(benchmark::State& state, size_t num_bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(num_bytes));
}

// Pieces that end with a line, as rows of prose do.
std::vector<std::string_view> cut_at_lines(std::string_view text) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const size_t end = text.find('\n', std::min(kPieceBytes, text.size()));
    pieces.push_back(text.substr(0, end == std::string_view::npos ? end : end + 1));
    text.remove_prefix(pieces.back().size());
  }
  return pieces;
}

void register_tokenizer(const std::string& path, const std::string& text) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  benchmark::RegisterBenchmark("load_tokenizer", [path](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(path).vocab_size());
  })->Unit(benchmark::kMillisecond);
  // The first pass over a text, as a training run makes it: no word is known yet.
  benchmark::RegisterBenchmark("encode_once", [path, &text](benchmark::State& state) {
    for (auto _ : state) {
      state.PauseTiming();
      const Tokenizer fresh = Tokenizer::load(path);
      state.ResumeTiming();
      for (const std::string_view piece : cut_at_lines(text)) {
        benchmark::DoNotOptimize(fresh.encode_ordinary(piece).data());
      }
    }
    set_bytes(state, text.size());
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("encode_rows", [tokenizer, &text](benchmark::State& state) {
    for (auto _ : state) {
      for (const std::string_view piece : cut_at_lines(text)) {
        benchmark::DoNotOptimize(tokenizer.encode_ordinary(piece).data());
      }
    }
    set_bytes(state, text.size());
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("encode_whole", [tokenizer, &text](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode(text, false).data());
    set_bytes(state, text.size());
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("decode", [tokenizer, &text](benchmark::State& state) {
    const std::vector<int32_t> ids = tokenizer.encode(text, false);
    for (auto _ : state) benchmark::DoNotOptimize(tokenizer.decode(ids, false).data());
    set_bytes(state, text.size());
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("stream", [tokenizer, &text](benchmark::State& state) {
    const std::string_view head = std::string_view(text).substr(0, text.find('\n', 1 << 18));
    const std::vector<int32_t> ids = tokenizer.encode(head, false);
    for (auto _ : state) {
      TokenStream stream(tokenizer, false);
      for (const int32_t id : ids) benchmark::DoNotOptimize(stream.push(id).data());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(ids.size()));
  })->Unit(benchmark::kMillisecond);
}

const std::string kHead =
    "---\ndlm_id: 01JZZZZZZZZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: smollm2-135m\n---\n";

void register_documents(const std::string& text) {
  std::string prose = kHead + text;
  std::string pairs = kHead;
  for (const std::string_view piece : cut_at_lines(text)) {
    pairs += "::instruction::\n### Q\n" + std::string(piece) + "### A\n" + std::string(piece);
    if (pairs.size() > text.size()) break;
  }
  for (auto& [name, document] : {std::pair<const char*, std::string&>{"parse_prose", prose},
                                 std::pair<const char*, std::string&>{"parse_pairs", pairs}}) {
    benchmark::RegisterBenchmark(name, [document = document](benchmark::State& state) {
      for (auto _ : state) {
        benchmark::DoNotOptimize(parse_document(document, "bench.dlm").sections.data());
      }
      set_bytes(state, document.size());
    })->Unit(benchmark::kMillisecond);
  }
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 3) {
    std::fprintf(stderr, "usage: text_bench TOKENIZER.json TEXT.txt [--benchmark_...]\n");
    return 2;
  }
  try {
    const std::string text = read_text(argv[2]);
    register_tokenizer(argv[1], text);
    register_documents(text);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const Error& error) {
    std::fprintf(stderr, "text_bench: %s\n", error.message().c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace dlm

int main(int argc, char** argv) {
  return dlm::run(argc, argv);
}
