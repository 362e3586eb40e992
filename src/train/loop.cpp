#include "train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

#include "engine/random.h"
#include "support/error.h"
#include "support/interrupt.h"

namespace dlm {

namespace {

// Gradient clipping at 1, as transformers' trainer does; no weight decay on adapters.
AdamWOptions adapter_optimizer() {
  AdamWOptions options;
  options.max_grad_norm = 1.0f;
  return options;
}

// Fewer wrong rows first; then what was learned together with what drifted.
bool is_better(const EvalReport& a, const EvalReport& b, bool holds_out) {
  if (!holds_out && a.exact_rows != b.exact_rows) return a.exact_rows > b.exact_rows;
  return a.loss + std::max(0.0, a.drift) < b.loss + std::max(0.0, b.drift);
}

// Positions that the rows need: general rows may be longer than the document's.
int64_t longest_row(const LoopRows& rows) {
  size_t longest = 1;
  for (const auto* list :
       {&rows.train, &rows.judged, &rows.general.mixed, &rows.general.measured}) {
    for (const TokenRow& row : *list) {
      const size_t to_come = row.labels.empty() ? size_t{kGeneralAnswerTokens} : 0;
      longest = std::max(longest, row.tokens.size() + to_come);
    }
  }
  return static_cast<int64_t>(longest);
}

}  // namespace

TrainingLoop::TrainingLoop(Decoder& decoder, LoraAdapter& adapter, Device& device,
                           const TrainingPlan& plan, LoopRows rows)
    : decoder_(decoder),
      adapter_(adapter),
      device_(device),
      plan_(plan),
      rows_(std::move(rows)),
      training_graph_((adapter.set_trainable(), build_graph(decoder, &adapter, GraphUse::kTraining,
                                                            longest_row(rows_), plan.recompute))),
      loss_graph_(build_graph(decoder, &adapter, GraphUse::kLoss, longest_row(rows_))),
      pass_memory_(std::make_shared<PassMemory>()),
      exec_(training_graph_->graph, device, pass_memory_),
      loss_exec_(loss_graph_->graph, device, pass_memory_),
      frozen_lines_(decoder.config().hidden_size, plan.memory.frozen_lines),
      optimizer_(adapter.parameters(), adapter_optimizer()) {
  check(!rows_.train.empty(), "training needs rows");
  if (plan.memory.frozen_lines > 0) {
    exec_.frozen_lines = &frozen_lines_;
    loss_exec_.frozen_lines = &frozen_lines_;
  }
}

LoopResult TrainingLoop::run(const LoopEvents& events) {
  LoopResult result;
  std::vector<Tensor> kept_weights;
  double loss_sum = 0;
  int64_t loss_count = 0;
  for (int64_t step = 0; step < plan_.steps; ++step) {
    const StepReport report = take_step(step);
    if (events.on_step) events.on_step(report);
    ++result.steps;
    if (step >= plan_.steps - std::max<int64_t>(1, plan_.steps / 10)) {
      loss_sum += report.loss;
      ++loss_count;
    }
    const bool is_last = step + 1 == plan_.steps;
    if (!is_last && (step + 1) % plan_.eval_every != 0) continue;
    const EvalReport judged = evaluate(step + 1);
    if (events.on_eval) events.on_eval(judged);
    if (kept_weights.empty() || is_better(judged, result.kept, plan_.holds_out)) {
      result.kept = judged;
      kept_weights = copy_weights();
    }
    result.last = judged;
  }
  last_weights_ = copy_weights();
  const std::vector<Parameter*> parameters = adapter_.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::memcpy(parameters[i]->trained_elements(), kept_weights[i].f32(),
                kept_weights[i].size_bytes());
    parameters[i]->publish();
  }
  result.mean_loss = loss_sum / static_cast<double>(std::max<int64_t>(1, loss_count));
  return result;
}

std::vector<TrainingLoop::Chosen> TrainingLoop::choose(const std::vector<TokenRow>& rows,
                                                       int64_t first, int64_t count,
                                                       uint64_t stream) const {
  const auto size = static_cast<int64_t>(rows.size());
  std::vector<Chosen> chosen;
  std::vector<size_t> order(rows.size());
  int64_t shuffled_epoch = -1;
  for (int64_t i = first; i < first + count; ++i) {
    const int64_t epoch = i / size;
    if (epoch != shuffled_epoch) {
      std::vector<uint64_t> keys;
      for (size_t r = 0; r < rows.size(); ++r) {
        keys.push_back(random_key({static_cast<uint64_t>(plan_.seed), stream,
                                   static_cast<uint64_t>(epoch), rows[r].id, r}));
      }
      std::iota(order.begin(), order.end(), size_t{0});
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
      shuffled_epoch = epoch;
    }
    chosen.push_back({order[static_cast<size_t>(i % size)], static_cast<uint64_t>(epoch)});
  }
  return chosen;
}

// The first step trains on document rows alone, so that it need not wait for general answers.
std::vector<TrainingLoop::StepRow> TrainingLoop::rows_of_step(int64_t step,
                                                              int64_t* document_labels) {
  std::vector<StepRow> rows;
  for (const Chosen& c : choose(rows_.train, step * plan_.rows_per_step, plan_.rows_per_step, 1)) {
    rows.push_back({&rows_.train[c.row], c.epoch});
    *document_labels += rows_.train[c.row].num_labels();
  }
  const int64_t general = plan_.general_rows_per_step;
  if (step == 0 || general == 0) return rows;
  for (const Chosen& c : choose(rows_.general.mixed, (step - 1) * general, general, 2)) {
    const TokenRow& row = rows_.general.answered(rows_.general.mixed[c.row]);
    if (row.num_labels() > 0) rows.push_back({&row, c.epoch});
  }
  return rows;
}

StepReport TrainingLoop::take_step(int64_t step) {
  const auto begin = std::chrono::steady_clock::now();
  int64_t document_labels = 0;
  const std::vector<StepRow> chosen = rows_of_step(step, &document_labels);
  int64_t labels = 0;
  for (const StepRow& c : chosen) labels += c.row->num_labels();

  StepReport report;
  report.step = step + 1;
  exec_.loss_scale = 1.0f / static_cast<float>(std::max<int64_t>(1, labels));
  exec_.dropout_on = plan_.dropout > 0;
  double loss = 0;
  int64_t counted = 0;
  for (size_t i = 0; i < chosen.size();) {
    check_interrupted();
    Batch batch;
    for (; i < chosen.size(); ++i) {
      const TokenRow& row = *chosen[i].row;
      const auto size = static_cast<int64_t>(row.tokens.size());
      if (batch.num_tokens() > 0 && batch.num_tokens() + size > plan_.micro_batch_tokens) break;
      batch.add_row(row.tokens, row.labels,
                    random_key({static_cast<uint64_t>(plan_.seed), chosen[i].epoch, row.id}));
    }
    exec_.forward(batch);
    exec_.backward();
    report.tokens += batch.num_tokens();
    for (const float token_loss : exec_.token_losses) {
      if (counted++ < document_labels) loss += static_cast<double>(token_loss);
    }
  }
  report.loss = loss / static_cast<double>(std::max<int64_t>(1, document_labels));
  report.rate = plan_.rate_at(step);
  report.grad_norm = optimizer_.step(static_cast<float>(report.rate), device_);
  if (!std::isfinite(report.loss) || !std::isfinite(report.grad_norm)) {
    throw Error(ErrorKind::kTrain,
                "the loss or its gradient is not a number at step " + std::to_string(step + 1),
                "lower training.learning_rate, or write training.precision: fp32");
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

double TrainingLoop::base_drift_loss() {
  if (!base_drift_loss_) {
    for (TokenRow& row : rows_.general.measured) rows_.general.answered(row);
    std::erase_if(rows_.general.measured,
                  [](const TokenRow& row) { return row.num_labels() == 0; });
    const auto base = build_graph(decoder_, nullptr, GraphUse::kLoss, longest_row(rows_));
    Exec exec(base->graph, device_, pass_memory_);
    base_drift_loss_ = mean_loss(exec, rows_.general.measured, nullptr);
  }
  return *base_drift_loss_;
}

double TrainingLoop::mean_loss(Exec& exec, const std::vector<TokenRow>& rows, int64_t* exact_rows) {
  // A token of probability above one half is the most likely one.
  constexpr float kExact = 0.6931f;
  double total = 0;
  int64_t count = 0;
  for (size_t i = 0; i < rows.size();) {
    check_interrupted();
    Batch batch;
    const size_t first = i;
    for (; i < rows.size(); ++i) {
      const auto size = static_cast<int64_t>(rows[i].tokens.size());
      if (batch.num_tokens() > 0 && batch.num_tokens() + size > plan_.micro_batch_tokens) break;
      batch.add_row(rows[i].tokens, rows[i].labels, rows[i].id);
    }
    exec.forward(batch);
    size_t at = 0;
    for (size_t r = first; r < i; ++r) {
      bool is_exact = true;
      for (int64_t n = rows[r].num_labels(); n > 0; --n, ++at) {
        const float loss = exec.token_losses[at];
        is_exact = is_exact && loss < kExact;
        total += static_cast<double>(loss);
        ++count;
      }
      if (is_exact && exact_rows != nullptr) ++*exact_rows;
    }
  }
  return total / static_cast<double>(std::max<int64_t>(1, count));
}

EvalReport TrainingLoop::evaluate(int64_t step) {
  EvalReport report;
  report.step = step;
  report.num_rows = static_cast<int64_t>(rows_.judged.size());
  report.loss = mean_loss(loss_exec_, rows_.judged, &report.exact_rows);
  if (!rows_.general.measured.empty()) {
    const double base = base_drift_loss();
    report.drift = mean_loss(loss_exec_, rows_.general.measured, nullptr) - base;
  }
  return report;
}

std::vector<Tensor> TrainingLoop::copy_weights() const {
  std::vector<Tensor> copies;
  for (const Parameter* p : adapter_.parameters()) {
    Tensor copy = Tensor::zeros(p->value.shape(), DType::kF32);
    std::memcpy(copy.mutable_data(), p->f32_elements(), copy.size_bytes());
    copies.push_back(std::move(copy));
  }
  return copies;
}

}  // namespace dlm
