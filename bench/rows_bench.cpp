// What a training step costs by the shape of its rows: short rows without padding against the same
// rows padded to the longest of each eight; cost by number of tokens and by length of one row. A
// table, and an SVG chart when a path is given: rows_bench [BASE [CHART.svg]].

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "bases/registry.h"
#include "engine/adamw.h"
#include "engine/exec.h"
#include "engine/random.h"
#include "model/decoder.h"
#include "train/memory_plan.h"
#include "train/short_rows_benchmark.h"

namespace dlm {
namespace {

// Rows of such lengths, every real token labelled; each row is followed by unlabelled tokens up to
// `padded`.
struct Rows {
  std::vector<int64_t> lengths;
  std::vector<int64_t> padded;
};

Rows unpadded(const std::vector<int64_t>& lengths) {
  return {lengths, lengths};
}

Rows padded_by_eight(const std::vector<int64_t>& lengths) {
  Rows rows{lengths, lengths};
  for (size_t first = 0; first < lengths.size(); first += 8) {
    const size_t end = std::min(first + 8, lengths.size());
    const int64_t longest = *std::max_element(lengths.begin() + first, lengths.begin() + end);
    std::fill(rows.padded.begin() + first, rows.padded.begin() + end, longest);
  }
  return rows;
}

class Trainer {
 public:
  Trainer(const ModelConfig& shapes, int64_t longest)
      : vocab_(shapes.vocab_size),
        // As a run holds a base whose files are in bf16.
        decoder_(Decoder::tiled(shapes, dtype_, held_type(dtype_, DType::kBF16))),
        adapter_(LoraAdapter::create(*decoder_, {}, 1)),
        graph_(
            (adapter_->set_trainable(), build_graph(*decoder_, adapter_.get(), GraphUse::kTraining,
                                                    longest, unlimited_recompute(dtype_)))),
        exec_(graph_->graph, device_),
        optimizer_(adapter_->parameters(), AdamWOptions{}) {}

  // Seconds of one step over all rows in batches of up to 1,024 tokens: the best of three.
  double seconds(const Rows& rows) {
    std::vector<Batch> batches = cut(rows);
    double best = 1e30;
    for (int round = 0; round < 3; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      for (const Batch& batch : batches) {
        exec_.forward(batch);
        exec_.backward();
      }
      optimizer_.step(1e-5f, device_);
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
      best = std::min(best, time.count());
    }
    return best;
  }

 private:
  std::vector<Batch> cut(const Rows& rows) const {
    std::vector<Batch> batches(1);
    for (size_t i = 0; i < rows.lengths.size(); ++i) {
      std::vector<int32_t> tokens;
      std::vector<int32_t> labels;
      for (int64_t t = 0; t < rows.padded[i]; ++t) {
        const auto at = static_cast<uint64_t>(t);
        const uint64_t token = random_key({i, at}) % static_cast<uint64_t>(vocab_);
        tokens.push_back(static_cast<int32_t>(token));
        labels.push_back(t < rows.lengths[i] ? tokens.back() : Batch::kNoLabel);
      }
      if (batches.back().num_tokens() > 0 && batches.back().num_tokens() + rows.padded[i] > 1024) {
        batches.emplace_back();
      }
      batches.back().add_row(tokens, labels, i);
    }
    return batches;
  }

  int64_t vocab_;
  Device device_;
  DType dtype_ = device_.preferred_dtype();
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<LoraAdapter> adapter_;
  std::unique_ptr<DecoderGraph> graph_;
  Exec exec_;
  AdamW optimizer_;
};

struct Point {
  int64_t tokens;
  double seconds;
};

void print_points(const char* title, const std::vector<Point>& points) {
  fmt::print("\n{}\n{:>8} {:>10} {:>12} {:>10}\n", title, "tokens", "seconds", "ms/token",
             "exponent");
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& [tokens, seconds] = points[i];
    fmt::print("{:>8} {:>10.3f} {:>12.3f}", tokens, seconds,
               1e3 * seconds / static_cast<double>(tokens));
    if (i > 0) {
      const double grown = static_cast<double>(tokens) / static_cast<double>(points[i - 1].tokens);
      fmt::print(" {:>10.2f}", std::log(seconds / points[i - 1].seconds) / std::log(grown));
    }
    fmt::print("\n");
  }
}

// Both curves on logarithmic axes, 128 to 8,192 tokens by 7 decades of two; a line of slope one is
// linear cost.
std::string chart(const std::string& base, const std::vector<Point>& by_tokens,
                  const std::vector<Point>& by_length) {
  constexpr double kLeft = 70, kTop = 40, kWidth = 480, kHeight = 320;
  double low = 1e30, high = 0;
  for (const auto* points : {&by_tokens, &by_length}) {
    for (const Point& p : *points) {
      low = std::min(low, p.seconds);
      high = std::max(high, p.seconds);
    }
  }
  low = std::exp2(std::floor(std::log2(low)));
  high = std::exp2(std::ceil(std::log2(high)));
  const auto x = [&](double tokens) {
    return kLeft + kWidth * std::log2(tokens / 128) / std::log2(8192.0 / 128);
  };
  const auto y = [&](double seconds) {
    return kTop + kHeight * (1 - std::log2(seconds / low) / std::log2(high / low));
  };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 430\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"600\" height=\"430\" fill=\"white\"/>\n"
      "<text x=\"70\" y=\"22\" font-size=\"14\">Seconds of a training step, {}</text>\n",
      base);
  for (double tokens = 128; tokens <= 8192; tokens *= 2) {
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"40\" x2=\"{0:.1f}\" y2=\"360\" stroke=\"#ddd\"/>"
        "<text x=\"{0:.1f}\" y=\"378\" text-anchor=\"middle\">{1:.0f}</text>\n",
        x(tokens), tokens);
  }
  for (double seconds = low; seconds <= high; seconds *= 2) {
    svg += fmt::format(
        "<line x1=\"70\" y1=\"{0:.1f}\" x2=\"550\" y2=\"{0:.1f}\" stroke=\"#ddd\"/>"
        "<text x=\"64\" y=\"{0:.1f}\" dy=\"4\" text-anchor=\"end\">{1:g}</text>\n",
        y(seconds), seconds);
  }
  const auto curve = [&](const std::vector<Point>& points, const char* colour, const char* name,
                         double at) {
    std::string path;
    for (const Point& p : points) {
      path += fmt::format("{:.1f},{:.1f} ", x(static_cast<double>(p.tokens)), y(p.seconds));
    }
    svg += fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n"
        "<text x=\"84\" y=\"{}\" fill=\"{}\">{}</text>\n",
        path, colour, at, colour, name);
  };
  curve(by_tokens, "#0b6", "rows of 512 tokens, by tokens in all", 60);
  curve(by_length, "#06c", "one row, by its length", 78);
  svg +=
      "<text x=\"310\" y=\"404\" text-anchor=\"middle\">tokens (a straight line of slope one is "
      "linear cost)</text>\n</svg>\n";
  return svg;
}

int run(const std::string& base, const char* chart_path) {
  const BaseInfo* info = find_base(base);
  if (info == nullptr) {
    std::fprintf(stderr, "base \"%s\" is not known\n", base.c_str());
    return 2;
  }
  Trainer trainer(shapes_of(*info), 4096);

  const std::vector<int64_t> lengths = short_row_lengths(64, 512);
  int64_t real = 0;
  for (const int64_t length : lengths) real += length;
  const Rows packed = unpadded(lengths);
  const Rows padded = padded_by_eight(lengths);
  int64_t with_padding = 0;
  for (const int64_t length : padded.padded) with_padding += length;
  const double packed_s = trainer.seconds(packed);
  const double padded_s = trainer.seconds(padded);
  fmt::print("{}: {} rows, mean {:.1f} tokens, longest {}\n", base, lengths.size(),
             static_cast<double>(real) / static_cast<double>(lengths.size()),
             *std::max_element(lengths.begin(), lengths.end()));
  fmt::print("without padding     {:>8} tokens {:>8.1f} real tokens/s\n", real,
             static_cast<double>(real) / packed_s);
  fmt::print("padded, 8 rows each {:>8} tokens {:>8.1f} real tokens/s\n", with_padding,
             static_cast<double>(real) / padded_s);
  fmt::print("{:.2f} times as fast\n", padded_s / packed_s);

  std::vector<Point> by_tokens;
  for (const int64_t rows : {2, 4, 8, 16}) {
    const std::vector<int64_t> full(static_cast<size_t>(rows), 512);
    by_tokens.push_back({rows * 512, trainer.seconds(unpadded(full))});
  }
  print_points("rows of 512 tokens, batches of 1,024", by_tokens);
  std::vector<Point> by_length;
  for (const int64_t length : {128, 256, 512, 1024, 2048, 4096}) {
    by_length.push_back({length, trainer.seconds(unpadded({length}))});
  }
  print_points("one row", by_length);
  if (chart_path != nullptr) std::ofstream(chart_path) << chart(base, by_tokens, by_length);
  return 0;
}

}  // namespace
}  // namespace dlm

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // each line as it is measured
  return dlm::run(argc > 1 ? argv[1] : "smollm2-135m", argc > 2 ? argv[2] : nullptr);
}
