// Pre-trains the bundled base from plain text: tokenizer, token rows, full-parameter training with
// checkpoints, evaluation after rounding, files in Hugging Face layout. Every step's data is a
// function of the seed and the step, so a stopped run goes on as if it had not stopped.
//
//   pretrain CORPUS_FOLDER WORK_FOLDER [--steps N] [--until N] [--tokens-per-step N]
//            [--micro-tokens N] [--minutes N] [--samples]
//
// The folder needs children.{train,valid}.txt and classics.{train,valid}.txt.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string>

#include "engine/adamw.h"
#include "engine/random.h"
#include "formats/safetensors.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "support/error.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer.h"
#include "token_data.h"

namespace dlm {
namespace {

constexpr int64_t kContext = 512;
constexpr int64_t kVocabulary = 8192;
constexpr uint64_t kSeed = 20260501;
constexpr float kPeakRate = 3e-3f;
constexpr int64_t kWarmup = 200;

struct Arguments {
  fs::path corpus;
  fs::path work;
  int64_t steps = 2000;
  int64_t until = 0;  // stop after this step; 0: after the last
  int64_t tokens_per_step = 16384;
  int64_t micro_tokens = 4096;
  double minutes = 1e9;
  bool samples = false;
};

ModelConfig nano_config() {
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = 256;
  c.intermediate_size = 768;
  c.num_layers = 8;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.head_dim = 64;
  c.vocab_size = kVocabulary;
  c.max_positions = kContext;
  c.rms_norm_eps = 1e-5;
  c.rope.theta = 10000.0;
  c.tie_word_embeddings = true;
  c.bos_token_id = 0;
  c.pad_token_id = 3;
  c.eos_token_ids = {2};
  return c;
}

const std::vector<std::string> kSpecials = {"<|endoftext|>", "<|im_start|>", "<|im_end|>",
                                            "<|pad|>"};

Tokenizer load_or_train_tokenizer(const Arguments& args) {
  const fs::path path = args.work / "tokenizer.json";
  if (!fs::exists(path)) {
    BpeTrainerOptions options;
    options.vocab_size = kVocabulary;
    options.special_tokens = kSpecials;
    BpeTrainer trainer(options);
    for (const char* name : {"children.train.txt", "classics.train.txt"}) {
      std::string text = read_file(args.corpus / name);
      for (size_t at = text.find(kSpecials[0]); at != std::string::npos;
           at = text.find(kSpecials[0], at)) {
        text.replace(at, kSpecials[0].size(), "\n");
      }
      trainer.add(text);
    }
    write_file_atomic(path, trainer.train().dump(2) + "\n");
    fmt::print("tokenizer: {}\n", path.string());
  }
  return Tokenizer::load(path);
}

// Rows of one pass over the data: children's books twice, novels once, chat rows so often that they
// make up about 4% of the tokens.
std::vector<TokenRow> epoch_rows(const TokenData& data) {
  const auto tokens = [](const std::vector<TokenRow>& rows) {
    return std::accumulate(rows.begin(), rows.end(), int64_t{0},
                           [](int64_t sum, const TokenRow& r) { return sum + r.count; });
  };
  std::vector<TokenRow> rows = data.text_rows;
  const int64_t text = tokens(data.text_rows);
  const int64_t chat = tokens(data.chat_rows);
  const auto wanted = static_cast<int64_t>(0.04 * static_cast<double>(text) / 0.96);
  std::vector<size_t> order(data.chat_rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [](size_t a, size_t b) { return mix64(a) < mix64(b); });
  int64_t taken = 0;
  for (size_t i = 0; taken < wanted && !order.empty(); ++i) {
    const TokenRow& row = data.chat_rows[order[i % order.size()]];
    rows.push_back(row);
    taken += row.count;
  }
  fmt::print("data: {} text tokens, {} chat tokens of {} derived, {} rows an epoch\n", text, taken,
             chat, rows.size());
  return rows;
}

float learning_rate(int64_t step, int64_t steps) {
  const auto s = static_cast<double>(step);
  const auto n = static_cast<double>(steps);
  double factor = std::min(1.0, (s + 1) / static_cast<double>(kWarmup));
  const double decay_from = 0.75 * n;
  if (s > decay_from) factor *= std::max(0.0, (n - s) / (n - decay_from));
  return static_cast<float>(factor) * kPeakRate;
}

// The position in the endless sequence of shuffled epochs.
class RowSource {
 public:
  RowSource(std::vector<TokenRow> rows, int64_t cursor) : rows_(std::move(rows)), cursor_(cursor) {}
  int64_t cursor() const { return cursor_; }
  const TokenRow& peek() {
    const auto size = static_cast<int64_t>(rows_.size());
    const int64_t epoch = cursor_ / size;
    if (epoch != epoch_) shuffle(epoch);
    return rows_[order_[static_cast<size_t>(cursor_ % size)]];
  }
  void advance() { ++cursor_; }

 private:
  void shuffle(int64_t epoch) {
    epoch_ = epoch;
    std::vector<std::pair<uint64_t, size_t>> keyed;
    for (size_t i = 0; i < rows_.size(); ++i) {
      keyed.emplace_back(random_key({kSeed, static_cast<uint64_t>(epoch), i}), i);
    }
    std::sort(keyed.begin(), keyed.end());
    order_.clear();
    for (const auto& [key, index] : keyed) order_.push_back(index);
  }

  std::vector<TokenRow> rows_;
  std::vector<size_t> order_;
  int64_t epoch_ = -1;
  int64_t cursor_;
};

void add_row(Batch& batch, const TokenData& data, const TokenRow& row) {
  std::vector<int32_t> tokens(data.ids.begin() + row.begin,
                              data.ids.begin() + row.begin + row.count);
  std::vector<int32_t> labels(data.ids.begin() + row.begin + 1,
                              data.ids.begin() + row.begin + row.count + 1);
  batch.add_row(tokens, labels, batch.rows.size());
}

class Pretraining {
 public:
  explicit Pretraining(const Arguments& args)
      : args_(args), tokenizer_(load_or_train_tokenizer(args)), device_(0) {
    decoder_ = Decoder::random(nano_config(), device_.preferred_dtype(), kSeed);
    for (Parameter* p : decoder_->parameters()) p->make_trainable();
    graph_ = build_graph(*decoder_, nullptr, GraphUse::kTraining, kContext);
    exec_ = std::make_unique<Exec>(graph_->graph, device_);
    AdamWOptions options;
    options.beta2 = 0.95f;
    options.weight_decay = 0.1f;
    options.max_grad_norm = 1.0f;
    optimizer_ = std::make_unique<AdamW>(decoder_->parameters(), options, true);
  }

  void run() {
    for (const char* name : {"children", "classics"}) {
      const std::string text = read_file(args_.corpus / (std::string(name) + ".train.txt"));
      append_corpus(tokenizer_, text, kContext, std::string_view(name) == "children" ? 2 : 1,
                    data_);
    }
    int64_t step = 0;
    int64_t cursor = 0;
    load_checkpoint(step, cursor);
    RowSource source(epoch_rows(data_), cursor);
    const auto begin = std::chrono::steady_clock::now();
    auto saved = begin;
    auto reported = begin;
    int64_t tokens_since = 0;
    double loss_sum = 0;
    int64_t loss_count = 0;
    const auto seconds = [](auto since) {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
    };
    const int64_t until = args_.until > 0 ? std::min(args_.until, args_.steps) : args_.steps;
    while (step < until && seconds(begin) < args_.minutes * 60) {
      std::vector<Batch> micro(1);
      int64_t labels = 0;
      for (int64_t filled = 0; filled + source.peek().count <= args_.tokens_per_step;
           source.advance()) {
        const TokenRow& row = source.peek();
        if (micro.back().num_tokens() + row.count > args_.micro_tokens) micro.emplace_back();
        add_row(micro.back(), data_, row);
        filled += row.count;
        labels += row.count;
      }
      exec_->loss_scale = 1.0f / static_cast<float>(labels);
      for (const Batch& batch : micro) {
        exec_->forward(batch);
        exec_->backward();
        for (const float loss : exec_->token_losses) loss_sum += static_cast<double>(loss);
      }
      loss_count += labels;
      tokens_since += labels;
      const float rate = learning_rate(step, args_.steps);
      const double norm = optimizer_->step(rate, device_);
      ++step;
      if (step % 20 == 0) {
        fmt::print("step {} loss {:.4f} norm {:.2f} rate {:.5f} tokens/s {:.0f}\n", step,
                   loss_sum / static_cast<double>(loss_count), norm, rate,
                   static_cast<double>(tokens_since) / seconds(reported));
        std::fflush(stdout);
        reported = std::chrono::steady_clock::now();
        tokens_since = 0;
        loss_sum = 0;
        loss_count = 0;
      }
      if (seconds(saved) > 600) {
        save_checkpoint(step, source.cursor());
        saved = std::chrono::steady_clock::now();
      }
      if (is_interrupted()) break;
    }
    save_checkpoint(step, source.cursor());
    fmt::print("stopped after step {}, {:.2f} epochs\n", step, epochs(source.cursor()));
    publish();
  }

 private:
  double epochs(int64_t cursor) {
    return static_cast<double>(cursor) / static_cast<double>(epoch_size());
  }
  size_t epoch_size() { return epoch_rows(data_).size(); }

  fs::path checkpoint() const { return args_.work / "checkpoint.safetensors"; }

  void save_checkpoint(int64_t step, int64_t cursor) {
    std::vector<SafetensorsTensor> tensors;
    const auto add = [&](const std::string& name, const std::vector<int64_t>& shape,
                         const float* data) {
      int64_t numel = 1;
      for (const int64_t d : shape) numel *= d;
      tensors.push_back(
          {name,
           "F32",
           shape,
           {reinterpret_cast<const std::byte*>(data), static_cast<size_t>(numel) * 4}});
    };
    const auto& all = optimizer_->parameters();
    for (size_t i = 0; i < all.size(); ++i) {
      add("weight." + all[i]->name, all[i]->value.shape(), all[i]->trained_elements());
      add("first." + all[i]->name, all[i]->value.shape(), optimizer_->first_moments()[i].f32());
      add("second." + all[i]->name, all[i]->value.shape(), optimizer_->second_moments()[i].f32());
    }
    write_safetensors(checkpoint(), tensors,
                      {{"step", std::to_string(step)}, {"cursor", std::to_string(cursor)}});
    fmt::print("checkpoint at step {}\n", step);
    std::fflush(stdout);
  }

  void load_checkpoint(int64_t& step, int64_t& cursor) {
    if (!fs::exists(checkpoint())) return;
    const SafetensorsFile file = SafetensorsFile::open(checkpoint());
    step = std::stoll(file.metadata().at("step"));
    cursor = std::stoll(file.metadata().at("cursor"));
    const auto& all = optimizer_->parameters();
    const auto copy = [&](const std::string& name, float* to) {
      const SafetensorsTensor& t = file.at(name);
      std::memcpy(to, t.bytes.data(), t.bytes.size());
    };
    for (size_t i = 0; i < all.size(); ++i) {
      copy("weight." + all[i]->name, all[i]->trained_elements());
      copy("first." + all[i]->name, optimizer_->first_moments()[i].mutable_f32());
      copy("second." + all[i]->name, optimizer_->second_moments()[i].mutable_f32());
      all[i]->publish();
    }
    optimizer_->set_num_steps(step);
    fmt::print("resumed at step {}\n", step);
  }

  // Writes the rounded weights, then measures and samples what was written.
  void publish() {
    const fs::path folder = args_.work / "dlm-nano";
    make_folders(folder);
    decoder_->save(folder);
    const auto rounded = Decoder::load(folder, device_.preferred_dtype());
    const auto loss_graph = build_graph(*rounded, nullptr, GraphUse::kLoss, kContext);
    Exec exec(loss_graph->graph, device_);
    Json report = Json::object();
    for (const char* name : {"children", "classics"}) {
      const std::string text = read_file(args_.corpus / (std::string(name) + ".valid.txt"));
      const TokenData valid = text_rows_of(tokenizer_, text, kContext);
      double nats = 0;
      for (size_t i = 0; i < valid.text_rows.size();) {
        Batch batch;
        for (; i < valid.text_rows.size() && batch.num_tokens() < 4096; ++i) {
          add_row(batch, valid, valid.text_rows[i]);
        }
        exec.forward(batch);
        for (const float loss : exec.token_losses) nats += static_cast<double>(loss);
      }
      const double bits = nats / std::log(2.0) / static_cast<double>(text.size());
      fmt::print("{}.valid: {:.4f} bits per byte, {} tokens, {} bytes\n", name, bits,
                 valid.ids.size(), text.size());
      report.set(std::string(name) + "_bits_per_byte", bits);
    }
    write_file_atomic(args_.work / "evaluation.json", report.dump(2) + "\n");
    if (args_.samples) print_samples(*rounded);
  }

  void print_samples(Decoder& model) {
    Generator generator(model, nullptr, device_, kContext);
    const int32_t end_of_text = *tokenizer_.token_id("<|endoftext|>");
    const int32_t end_of_turn = *tokenizer_.token_id("<|im_end|>");
    for (const char* text : {"Once upon a time", "The captain", "It was the best of times"}) {
      const auto prompt = tokenizer_.encode(text, false);
      const auto out = generate(generator, prompt, 60, std::vector<int32_t>{end_of_text}, {});
      fmt::print("--- {}\n{}\n", text, tokenizer_.decode(out.tokens, true));
    }
    for (const char* text : {"Tell me a story.", "What is the capital of France?", "Who are you?",
                             "How do I boil an egg?", "What is your favourite colour?"}) {
      const std::string chat =
          "<|im_start|>user\n" + std::string(text) + "<|im_end|>\n<|im_start|>assistant\n";
      const auto out = generate(generator, tokenizer_.encode(chat, false), 200,
                                std::vector<int32_t>{end_of_turn, end_of_text}, {});
      fmt::print("--- {}\n{} [{} tokens, {}]\n", text, tokenizer_.decode(out.tokens, true),
                 out.tokens.size(), out.stopped ? "stopped" : "cut");
    }
  }

  Arguments args_;
  Tokenizer tokenizer_;
  Device device_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<DecoderGraph> graph_;
  std::unique_ptr<Exec> exec_;
  std::unique_ptr<AdamW> optimizer_;
  TokenData data_;
};

Arguments parse_arguments(int argc, char** argv) {
  Arguments args;
  std::vector<std::string> positional;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::atof(argv[++i]) : 0.0; };
    if (name == "--steps") {
      args.steps = static_cast<int64_t>(number());
    } else if (name == "--until") {
      args.until = static_cast<int64_t>(number());
    } else if (name == "--tokens-per-step") {
      args.tokens_per_step = static_cast<int64_t>(number());
    } else if (name == "--micro-tokens") {
      args.micro_tokens = static_cast<int64_t>(number());
    } else if (name == "--minutes") {
      args.minutes = number();
    } else if (name == "--samples") {
      args.samples = true;
    } else {
      positional.push_back(name);
    }
  }
  if (positional.size() != 2) {
    throw Error(ErrorKind::kUsage,
                "pretrain CORPUS_FOLDER WORK_FOLDER [--steps N] [--until N] "
                "[--tokens-per-step N] [--micro-tokens N] [--minutes N] [--samples]");
  }
  args.corpus = positional[0];
  args.work = positional[1];
  make_folders(args.work);
  return args;
}

}  // namespace
}  // namespace dlm

int main(int argc, char** argv) {
  try {
    dlm::install_interrupt_handlers();
    dlm::Pretraining(dlm::parse_arguments(argc, argv)).run();
  } catch (const std::exception& e) {
    fmt::print(stderr, "pretrain: {}\n", e.what());
    return 1;
  }
  return 0;
}
