#include "train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "engine/random.h"
#include "support/error.h"
#include "support/interrupt.h"

namespace dlm {

namespace {

constexpr const char* kDamagedBase =
    "the base's weights are damaged or hold NaN: copy the base again";

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

void copy_elements(const Tensor& from, float* to) {
  check(from.dtype() == DType::kF32, "a state's tensor is not of f32");
  std::memcpy(to, from.f32(), from.size_bytes());
}

void copy_into(const std::vector<Parameter*>& parameters, const std::vector<Tensor>& weights) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    check(parameters[i]->value.shape() == weights[i].shape(), "a state's tensor has another shape");
    copy_elements(weights[i], parameters[i]->trained_elements());
    parameters[i]->publish();
  }
}

// Positions that the rows need: general rows may be longer than the document's.
int64_t longest_row(const LoopRows& rows) {
  size_t longest = 1;
  for (const TokenRows* list : {&rows.train, &rows.judged}) {
    for (const RowOutline& row : list->outlines()) {
      longest = std::max<size_t>(longest, row.num_tokens);
    }
  }
  for (const auto* list : {&rows.general.mixed, &rows.general.measured}) {
    for (const TokenRow& row : *list) {
      const size_t to_come = !row.loss_begin ? size_t{kGeneralAnswerTokens} : 0;
      longest = std::max(longest, row.tokens.size() + to_come);
    }
  }
  return static_cast<int64_t>(longest);
}

template <typename Row>
std::vector<uint64_t> ids_of(std::span<const Row> rows) {
  std::vector<uint64_t> ids;
  ids.reserve(rows.size());
  for (const Row& row : rows) ids.push_back(row.id);
  return ids;
}

}  // namespace

TrainingLoop::TrainingLoop(Decoder& decoder, LoraAdapter& adapter, Device& device,
                           const TrainingPlan& plan, LoopRows rows)
    : decoder_(decoder),
      adapter_(adapter),
      device_(device),
      plan_(plan),
      rows_(std::move(rows)),
      document_order_(plan.seed, 1, ids_of(rows_.train.outlines())),
      general_order_(plan.seed, 2, ids_of(std::span<const TokenRow>(rows_.general.mixed))),
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

void TrainingLoop::restore(const LoopState& state) {
  const std::vector<Parameter*> parameters = adapter_.parameters();
  check(state.weights.size() == parameters.size(), "a state of another adapter is restored");
  copy_into(parameters, state.weights);
  for (size_t i = 0; i < parameters.size(); ++i) {
    copy_elements(state.first_moments[i], optimizer_.first_moments()[i].mutable_f32());
    copy_elements(state.second_moments[i], optimizer_.second_moments()[i].mutable_f32());
  }
  optimizer_.set_num_steps(state.optimizer_steps);
  progress_ = state;
  progress_.weights.clear();
  progress_.first_moments.clear();
  progress_.second_moments.clear();
}

LoopState TrainingLoop::state() {
  LoopState state = progress_;
  if (state.weights.empty()) {
    for (const Parameter* p : adapter_.parameters()) {
      state.weights.push_back(p->master.empty() ? p->value : p->master);
    }
  }
  state.first_moments = optimizer_.first_moments();
  state.second_moments = optimizer_.second_moments();
  state.optimizer_steps = optimizer_.num_steps();
  return state;
}

LoopResult TrainingLoop::run(const LoopEvents& events) {
  advance(plan_.steps, events);
  return finish();
}

void TrainingLoop::advance(int64_t until, const LoopEvents& events) {
  check(progress_.weights.empty(), "a finished loop goes on");
  const auto is_unjudged_end = [&] {
    return progress_.step >= plan_.steps && progress_.last.step != progress_.step;
  };
  if (progress_.awaits_judgement || is_unjudged_end()) judge(events);
  while (progress_.step < std::min(until, plan_.steps)) {
    const StepReport report = take_step(progress_.step);
    ++progress_.step;
    progress_.losses.push_back(report.loss);
    progress_.awaits_judgement =
        progress_.step == plan_.steps || progress_.step % plan_.eval_every == 0;
    if (events.on_step) events.on_step(report);
    if (progress_.awaits_judgement) judge(events);
    if (events.between_steps) events.between_steps();
  }
}

void TrainingLoop::judge(const LoopEvents& events) {
  const EvalReport judged = evaluate(progress_.step);
  if (events.on_eval) events.on_eval(judged);
  if (progress_.kept_weights.empty() || is_better(judged, progress_.kept, plan_.holds_out)) {
    progress_.kept = judged;
    progress_.kept_weights = copy_weights();
  }
  progress_.last = judged;
  progress_.awaits_judgement = false;
}

LoopResult TrainingLoop::finish() {
  check(!progress_.kept_weights.empty(), "a loop ends before its weights were judged");
  LoopResult result;
  result.steps = progress_.step;
  result.kept = progress_.kept;
  result.last = progress_.last;
  const auto count = static_cast<int64_t>(progress_.losses.size());
  const int64_t tail = std::min(count, std::max<int64_t>(1, plan_.steps / 10));
  for (int64_t i = count - tail; i < count; ++i) {
    result.mean_loss += progress_.losses[static_cast<size_t>(i)];
  }
  result.mean_loss /= static_cast<double>(std::max<int64_t>(1, tail));
  progress_.weights = copy_weights();
  copy_into(adapter_.parameters(), progress_.kept_weights);
  return result;
}

// The first step trains on document rows alone, so that it need not wait for general answers.
std::vector<TrainingLoop::StepRow> TrainingLoop::rows_of_step(int64_t step,
                                                              int64_t* document_labels) {
  std::vector<StepRow> rows;
  for (const auto& c : document_order_.choose(step * plan_.rows_per_step, plan_.rows_per_step)) {
    rows.push_back({rows_.train[c.row], c.epoch, false});
    *document_labels += rows.back().row.num_labels();
  }
  const int64_t general = plan_.general_rows_per_step;
  if (step == 0 || general == 0) return rows;
  for (const auto& c : general_order_.choose((step - 1) * general, general)) {
    const TokenRow& row = rows_.general.answered(rows_.general.mixed[c.row]);
    if (row.num_labels() > 0) rows.push_back({row, c.epoch, true});
  }
  return rows;
}

StepReport TrainingLoop::take_step(int64_t step) {
  const auto begin = std::chrono::steady_clock::now();
  int64_t document_labels = 0;
  const std::vector<StepRow> chosen = rows_of_step(step, &document_labels);
  int64_t labels = 0;
  for (const StepRow& c : chosen) labels += c.row.num_labels();

  StepReport report;
  report.step = step + 1;
  exec_.loss_scale = 1.0f / static_cast<float>(std::max<int64_t>(1, labels));
  exec_.dropout_on = plan_.dropout > 0;
  double loss = 0;
  int64_t counted = 0;
  for (size_t i = 0; i < chosen.size();) {
    check_interrupted();
    Batch batch;
    const size_t first = i;
    for (; i < chosen.size(); ++i) {
      const TokenRow& row = chosen[i].row;
      const auto size = static_cast<int64_t>(row.tokens.size());
      if (batch.num_tokens() > 0 && batch.num_tokens() + size > plan_.micro_batch_tokens) break;
      batch.add_row(row.tokens, row.labels(),
                    random_key({static_cast<uint64_t>(plan_.seed), chosen[i].epoch, row.id}));
    }
    exec_.forward(batch);
    exec_.backward();
    report.tokens += batch.num_tokens();
    size_t at = 0;
    for (size_t r = first; r < i; ++r) {
      check_losses(chosen[r].row, chosen[r].is_general, exec_.token_losses, at, step + 1);
      at += static_cast<size_t>(chosen[r].row.num_labels());
    }
    for (const float token_loss : exec_.token_losses) {
      if (counted++ < document_labels) loss += static_cast<double>(token_loss);
    }
  }
  report.loss = loss / static_cast<double>(std::max<int64_t>(1, document_labels));
  report.rate = plan_.rate_at(step);
  report.grad_norm = optimizer_.step(static_cast<float>(report.rate), device_);
  if (!std::isfinite(report.loss) || !std::isfinite(report.grad_norm)) {
    const bool is_first = step == 0;
    throw Error(ErrorKind::kTrain,
                is_first ? "the gradient is not a number before anything was trained"
                         : "the gradient is not a number at step " + std::to_string(step + 1) +
                               "; nothing was committed",
                is_first ? kDamagedBase
                         : "lower training.learning_rate, or write training.precision: fp32");
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

Place TrainingLoop::place_of(const TokenRow& row) const {
  if (row.source >= rows_.lines.size()) return {rows_.document};
  return {rows_.document, rows_.lines[row.source]};
}

void TrainingLoop::check_losses(const TokenRow& row, bool is_general,
                                const std::vector<float>& losses, size_t first,
                                int64_t step) const {
  const auto begin = losses.begin() + static_cast<std::ptrdiff_t>(first);
  const bool is_number = std::all_of(begin, begin + row.num_labels(),
                                     [](const float loss) { return std::isfinite(loss); });
  if (is_number) return;
  const Place place = is_general ? Place{} : place_of(row);
  const std::string which = is_general ? "a general row" : "this row";
  if (step <= 1 && progress_.step == 0) {
    throw Error(ErrorKind::kTrain,
                "the loss of " + which + " is not a number before anything was trained",
                kDamagedBase, place);
  }
  throw Error(ErrorKind::kTrain,
              "the loss of " + which + " is not a number at step " + std::to_string(step) +
                  "; nothing was committed",
              "lower training.learning_rate, or write training.precision: fp32", place);
}

double TrainingLoop::base_drift_loss() {
  if (!base_drift_loss_) {
    for (TokenRow& row : rows_.general.measured) rows_.general.answered(row);
    std::erase_if(rows_.general.measured,
                  [](const TokenRow& row) { return row.num_labels() == 0; });
    const auto base = build_graph(decoder_, nullptr, GraphUse::kLoss, longest_row(rows_));
    Exec exec(base->graph, device_, pass_memory_);
    base_drift_loss_ = mean_loss(exec, rows_.general.measured, true, 0, nullptr);
  }
  return *base_drift_loss_;
}

double TrainingLoop::mean_loss(Exec& exec, const TokenRows& rows, bool are_general, int64_t step,
                               int64_t* exact_rows) {
  // A token of probability above one half is the most likely one.
  constexpr float kExact = 0.6931f;
  double total = 0;
  int64_t count = 0;
  for (size_t i = 0; i < rows.size();) {
    check_interrupted();
    Batch batch;
    std::vector<TokenRow> in_batch;
    for (; i < rows.size(); ++i) {
      const int64_t size = rows.outlines()[i].num_tokens;
      if (batch.num_tokens() > 0 && batch.num_tokens() + size > plan_.micro_batch_tokens) break;
      const TokenRow& row = in_batch.emplace_back(rows[i]);
      batch.add_row(row.tokens, row.labels(), row.id);
    }
    exec.forward(batch);
    size_t at = 0;
    for (const TokenRow& row : in_batch) {
      check_losses(row, are_general, exec.token_losses, at, step);
      bool is_exact = true;
      for (int64_t n = row.num_labels(); n > 0; --n, ++at) {
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
  report.loss = mean_loss(loss_exec_, rows_.judged, false, step, &report.exact_rows);
  if (!rows_.general.measured.empty()) {
    const double base = base_drift_loss();
    report.drift = mean_loss(loss_exec_, rows_.general.measured, true, step, nullptr) - base;
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
