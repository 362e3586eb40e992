#include "train/pretrain.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "bases/locate.h"
#include "engine/adamw.h"
#include "model/decoder.h"
#include "support/error.h"
#include "support/file_lock.h"
#include "support/hash.h"
#include "support/interrupt.h"
#include "support/version.h"
#include "text/bpe_trainer.h"
#include "train/base_files.h"
#include "train/bits_per_byte.h"
#include "train/corpus.h"
#include "train/machine.h"
#include "train/pretrain_state.h"

namespace dlm {

namespace {

// Part of what makes the bytes: gradients are summed batch by batch.
constexpr int64_t kBatchTokens = 4096;
constexpr double kHeldOut = 0.03;
constexpr int64_t kMostWarmupSteps = 200;

ModelConfig config_of(const BaseShape& s) {
  const auto refuse = [](const std::string& what, const std::string& hint) {
    throw Error(ErrorKind::kUsage, what, hint);
  };
  if (s.num_heads % s.num_kv_heads != 0) {
    refuse("the heads are no multiple of the key-value heads",
           "give --kv-heads that divide --heads");
  }
  if (s.hidden_size % (2 * s.num_heads) != 0) {
    refuse("the hidden size is no even multiple of the heads",
           "give a --hidden that --heads divides into even parts");
  }
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = s.hidden_size;
  c.intermediate_size = s.intermediate_size;
  c.num_layers = s.num_layers;
  c.num_heads = s.num_heads;
  c.num_kv_heads = s.num_kv_heads;
  c.head_dim = s.hidden_size / s.num_heads;
  c.vocab_size = s.vocab_size;
  c.max_positions = s.context;
  c.rms_norm_eps = 1e-5;
  c.rope.theta = 10000.0;
  c.tie_word_embeddings = true;
  set_special_ids(c);
  return c;
}

// Warm-up, constant, and down to 0 over the last quarter.
double rate_at(int64_t step, int64_t steps, double peak) {
  const auto s = static_cast<double>(step), n = static_cast<double>(steps);
  const auto warmup =
      static_cast<double>(std::max<int64_t>(1, std::min(kMostWarmupSteps, steps / 10)));
  double factor = std::min(1.0, (s + 1) / warmup);
  const double decay_from = 0.75 * n;
  if (s > decay_from) factor *= std::max(0.0, (n - s) / (n - decay_from));
  return factor * peak;
}

// A text that is held out, with its name for the report.
struct HeldOut {
  std::string name;
  std::vector<std::string> texts;
};

class Pretraining {
 public:
  Pretraining(const PretrainRequest& request, const PretrainEvents& events)
      : request_(request),
        events_(events),
        config_(config_of(request.shape)),
        files_(list_corpus(request.texts)),
        folder_(request.out / ".pretrain"),
        device_(request.num_threads) {
    settings_ = settings();
  }

  PretrainResult run() {
    refuse_foreign_folder();
    make_folders(folder_);
    const auto lock = FileLock::try_acquire(folder_ / ".lock");
    if (!lock) {
      throw Error(ErrorKind::kLocked, "another process makes a base in this folder",
                  "wait until it is done, or stop it", {request_.out.string()});
    }
    if (request_.fresh) {
      for (const char* name : {kPretrainStateFile, kTokenizerFile}) remove_path(folder_ / name);
    }
    const auto state = find_pretrain_state(folder_, settings_);
    const Tokenizer tokenizer = tokenizer_of_run();
    read_texts(tokenizer);
    std::vector<CorpusRow> rows = epoch_rows(corpus_, request_.chat_share);
    plan(rows, state ? state->step : 0);
    if (events_.on_plan) events_.on_plan(result_.plan);
    if (request_.dry_run) return result_;
    make_model();
    if (state) restore_pretrain_state(folder_, *optimizer_);
    train(RowSequence(std::move(rows), request_.seed, state ? state->cursor : 0),
          state ? state->step : 0);
    publish(tokenizer);
    return result_;
  }

 private:
  static constexpr const char* kTokenizerFile = "tokenizer.json";

  void note(const std::string& text) const {
    if (events_.on_note) events_.on_note(text);
  }

  // All that the bytes follow from, but the instruction set.
  std::string settings() const {
    const BaseShape& s = request_.shape;
    Json json = Json::object({{"version", kVersion},
                              {"vocab_size", s.vocab_size},
                              {"context", s.context},
                              {"hidden_size", s.hidden_size},
                              {"intermediate_size", s.intermediate_size},
                              {"num_layers", s.num_layers},
                              {"num_heads", s.num_heads},
                              {"num_kv_heads", s.num_kv_heads},
                              {"tokens", request_.tokens.value_or(0)},
                              {"tokens_per_step", request_.tokens_per_step},
                              {"learning_rate", request_.learning_rate},
                              {"chat_share", request_.chat_share},
                              {"seed", request_.seed},
                              {"tier", isa_name(device_.tier())}});
    Json texts = Json::array();
    for (const CorpusFile& file : files_) {
      texts.push_back(std::to_string(file.copies) + " " + sha256_file_hex(file.path));
    }
    json.set("texts", std::move(texts));
    Json held_out = Json::array();
    for (const fs::path& path : request_.held_out) held_out.push_back(sha256_file_hex(path));
    json.set("held_out", std::move(held_out));
    return json.dump();
  }

  // Whether the folder holds something that is not ours to replace.
  void refuse_foreign_folder() const {
    if (!path_exists(request_.out / "model.safetensors") || path_exists(folder_)) return;
    throw Error(ErrorKind::kUsage, "this folder holds a base that `dlm pretrain` did not make",
                "choose another --out", {request_.out.string()});
  }

  Tokenizer tokenizer_of_run() {
    const fs::path path = folder_ / kTokenizerFile;
    if (!path_exists(path)) {
      note("training the tokenizer");
      BpeTrainerOptions options;
      options.vocab_size = static_cast<size_t>(config_.vocab_size);
      options.special_tokens = base_special_tokens();
      BpeTrainer trainer(options);
      for (const CorpusFile& file : files_) {
        const CorpusText text = read_corpus_file(file, held_out_share());
        for (const std::string& one : text.training) trainer.add(one);
      }
      write_file_atomic(path, trainer.train().dump(2) + "\n");
    }
    return Tokenizer::load(path);
  }

  double held_out_share() const { return request_.held_out.empty() ? kHeldOut : 0; }

  void read_texts(const Tokenizer& tokenizer) {
    note("reading the texts");
    for (const CorpusFile& file : files_) {
      CorpusText text = read_corpus_file(file, held_out_share());
      append_texts(tokenizer, text.training, config_.max_positions, file.copies, corpus_);
      append_conversations(tokenizer, text.conversations, config_.max_positions, corpus_);
      if (!text.held_out.empty()) held_out_.push_back({file.name, std::move(text.held_out)});
    }
    for (const CorpusFile& file : list_held_out()) {
      held_out_.push_back({file.name, read_corpus_file(file, 0).training});
    }
    if (corpus_.chat_rows.empty()) {
      note(
          "the texts give no conversations: this base will not learn to end its turn, so adapters "
          "for it cannot stop; add .dlm documents with ::instruction:: sections");
    }
    if (corpus_.text_rows.empty() && corpus_.chat_rows.empty()) {
      throw Error(ErrorKind::kUsage, "the texts are empty", "give files with some text");
    }
  }

  std::vector<CorpusFile> list_held_out() const {
    return request_.held_out.empty() ? std::vector<CorpusFile>{} : list_corpus(request_.held_out);
  }

  void plan(const std::vector<CorpusRow>& rows, int64_t done) {
    PretrainPlan& p = result_.plan;
    p.num_parameters = config_.num_parameters();
    p.text_tokens = corpus_.num_tokens(corpus_.text_rows);
    p.derived_tokens = corpus_.num_tokens(corpus_.chat_rows);
    const int64_t pass = corpus_.num_tokens(rows);
    p.chat_tokens = pass - p.text_tokens;
    const int64_t wanted = request_.tokens.value_or(pass);
    p.steps = std::max<int64_t>(1, wanted / request_.tokens_per_step);
    p.tokens = p.steps * request_.tokens_per_step;
    p.resumed_at_step = done;
    const DType dtype = device_.preferred_dtype();
    // Forward, gradient of inputs and of weights: three products with each weight.
    const double flops =
        6.0 * static_cast<double>(config_.num_linear_weights_a_token()) +
        12.0 *
            static_cast<double>(config_.num_layers * config_.hidden_size * config_.max_positions) /
            2;
    p.predicted_seconds = static_cast<double>((p.steps - done) * request_.tokens_per_step) * flops /
                          (0.5e9 * measure_gflops(device_, dtype));
    const auto shapes = Decoder::shapes(config_, dtype);
    for (Parameter* parameter : shapes->parameters()) parameter->trains = true;
    const auto graph = build_graph(*shapes, nullptr, GraphUse::kTraining, config_.max_positions);
    const int threads = device_.pool().num_threads();
    p.predicted_peak_bytes =
        resident_bytes() +
        static_cast<uint64_t>(p.num_parameters) * (dtype_size(dtype) + 4 * sizeof(float)) +
        Exec::arena_bytes(graph->graph, kBatchTokens) +
        Exec::scratch_bytes(graph->graph, kBatchTokens, threads) +
        graph->graph.shared_bytes(kBatchTokens);
  }

  void make_model() {
    decoder_ = Decoder::random(config_, device_.preferred_dtype(), request_.seed);
    for (Parameter* p : decoder_->parameters()) p->make_trainable();
    graph_ = build_graph(*decoder_, nullptr, GraphUse::kTraining, config_.max_positions);
    exec_ = std::make_unique<Exec>(graph_->graph, device_);
    AdamWOptions options;
    options.beta2 = 0.95f;
    options.weight_decay = 0.1f;
    options.max_grad_norm = 1.0f;
    optimizer_ = std::make_unique<AdamW>(decoder_->parameters(), options, true);
  }

  void train(RowSequence rows, int64_t step) {
    const Clock& clock = *request_.clock;
    int64_t saved_ns = clock.monotonic_ns();
    const auto save = [&] {
      save_pretrain_state(folder_, {step, rows.cursor()}, settings_, *optimizer_);
      saved_ns = clock.monotonic_ns();
    };
    const int64_t steps = result_.plan.steps;
    while (step < steps) {
      const int64_t began_ns = clock.monotonic_ns();
      PretrainStep report = take_step(rows, step, steps);
      report.seconds = static_cast<double>(clock.monotonic_ns() - began_ns) / 1e9;
      report.step = ++step;
      if (events_.on_step) events_.on_step(report);
      if (is_interrupted()) {
        save();
        check_interrupted();
      }
      if (clock.monotonic_ns() - saved_ns >= request_.checkpoint_seconds * 1'000'000'000) save();
    }
    save();
  }

  PretrainStep take_step(RowSequence& rows, int64_t step, int64_t steps) {
    std::vector<std::vector<CorpusRow>> batches(1);
    int64_t labels = 0, filled = 0;
    for (; labels == 0 || labels + rows.peek().count <= request_.tokens_per_step; rows.advance()) {
      const CorpusRow& row = rows.peek();
      if (filled > 0 && filled + row.count > kBatchTokens) {
        batches.emplace_back();
        filled = 0;
      }
      batches.back().push_back(row);
      filled += row.count;
      labels += row.count;
    }
    exec_->loss_scale = 1.0f / static_cast<float>(labels);
    double sum = 0;
    for (const std::vector<CorpusRow>& rows_of_batch : batches) {
      const Batch batch = corpus_.batch_of(rows_of_batch);  // read again by backward()
      exec_->forward(batch);
      exec_->backward();
      for (const float loss : exec_->token_losses) sum += static_cast<double>(loss);
    }
    PretrainStep report;
    report.tokens = labels;
    report.loss = sum / static_cast<double>(labels);
    report.rate = rate_at(step, steps, request_.learning_rate);
    report.gradient_norm = optimizer_->step(static_cast<float>(report.rate), device_);
    if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
      throw Error(ErrorKind::kTrain,
                  "step " + std::to_string(step + 1) + ": the loss is no longer finite",
                  "give a smaller --learning-rate, with --fresh");
    }
    return report;
  }

  // Writes the weights, rounded to bf16, and measures what was written. config.json comes last:
  // without it the folder is no base.
  void publish(const Tokenizer& tokenizer) {
    remove_path(request_.out / "config.json");
    write_file_atomic(request_.out / kTokenizerFile, read_file(folder_ / kTokenizerFile));
    write_base_files(request_.out, config_);
    decoder_->save(request_.out);
    result_.revision = weights_digest(request_.out);
    note("measuring the base on held-out text");
    const auto rounded = Decoder::load(request_.out, device_.preferred_dtype());
    for (const HeldOut& held : held_out_) {
      const TextMeasure measured =
          measure_text(*rounded, tokenizer, held.texts, config_.max_positions, device_);
      if (measured.bytes > 0) {
        result_.bits_per_byte.emplace_back(held.name, measured.bits_per_byte());
      }
    }
    result_.is_done = true;
    write_file_atomic(request_.out / "pretrain.json", pretrain_result_json(result_).dump(2) + "\n");
  }

  const PretrainRequest& request_;
  const PretrainEvents& events_;
  ModelConfig config_;
  std::vector<CorpusFile> files_;
  fs::path folder_;
  Device device_;
  std::string settings_;
  Corpus corpus_;
  std::vector<HeldOut> held_out_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<DecoderGraph> graph_;
  std::unique_ptr<Exec> exec_;
  std::unique_ptr<AdamW> optimizer_;
  PretrainResult result_;
};

}  // namespace

PretrainResult pretrain(const PretrainRequest& request, const PretrainEvents& events) {
  return Pretraining(request, events).run();
}

Json pretrain_result_json(const PretrainResult& r) {
  Json measured = Json::object();
  for (const auto& [name, bits] : r.bits_per_byte) measured.set(name, bits);
  return Json::object({{"bits_per_byte", std::move(measured)},
                       {"chat_tokens", r.plan.chat_tokens},
                       {"is_done", r.is_done},
                       {"parameters", r.plan.num_parameters},
                       {"predicted_peak_bytes", r.plan.predicted_peak_bytes},
                       {"revision", r.revision},
                       {"steps", r.plan.steps},
                       {"text_tokens", r.plan.text_tokens},
                       {"tokens", r.plan.tokens}});
}

}  // namespace dlm
