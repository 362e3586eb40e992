#include "train/plan.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "support/elementary.h"
#include "support/error.h"

namespace dlm {

namespace {

// What a small document needs: with dlm-nano, 16 pairs are learned word for word after about 75
// steps of a full batch, and their loss goes on falling up to about 200.
constexpr int64_t kSmallSteps = 200;
constexpr int64_t kRowsPerStep = 16;
constexpr double kLargePasses = 3.0;

// 3e-3 for 8 million parameters, 1e-3 for 135 million, 2e-4 for 7 billion.
double rate_for(int64_t num_parameters) {
  const double ratio = 8.4e6 / static_cast<double>(num_parameters);
  const double rate = std::clamp(3e-3 * exact_pow(ratio, 0.4), 1e-4, 3e-3);
  const double digits = std::pow(10.0, std::floor(std::log10(rate)) - 1.0);
  return std::round(rate / digits) * digits;
}

// Multiply-adds of a token, forward and backward, without attention: 2 for the forward pass and 2
// for the input gradient of each weight.
double flops_per_token(const ModelConfig& m) {
  const double head = static_cast<double>(m.vocab_size * m.hidden_size);
  return 4.0 * (static_cast<double>(m.num_linear_weights_a_token()) + head);
}

// The embedding and the head have no low-rank pair: named as targets, they are trained whole.
bool is_trained_whole(const std::string& name) {
  return name == kEmbedTokens || name == kLmHead;
}

// The shapes of training as the memory plan wants them.
MemoryInput memory_input(const PlanInput& in, const TrainingPlan& p, int64_t step_tokens) {
  MemoryInput m;
  m.model = in.model;
  m.dtype = p.dtype;
  m.lora = lora_options(p);
  m.base_format = p.base_format;
  m.num_threads = in.num_threads;
  m.program_bytes = in.program_bytes;
  m.stored_type = in.stored_type;
  m.longest_row = in.longest_row;
  m.step_tokens = step_tokens;
  m.num_tokens = in.num_tokens + in.general_tokens;
  if (p.steps * p.rows_per_step > in.num_rows) m.reused_tokens = in.num_tokens + in.general_tokens;
  if (in.memory_bytes > 0) m.limit_bytes = in.memory_bytes + in.program_bytes;
  if (in.max_memory_bytes > 0 && (m.limit_bytes == 0 || in.max_memory_bytes < m.limit_bytes)) {
    m.limit_bytes = in.max_memory_bytes;
    m.limit_is_asked = true;
  }
  m.may_exceed = in.may_exceed_memory;
  return m;
}

}  // namespace

BaseFormat base_format_of(AdapterKind kind) {
  return kind == AdapterKind::kQlora ? BaseFormat::qlora() : BaseFormat{};
}

LoraOptions lora_options(const TrainingPlan& plan) {
  LoraOptions options;
  options.rank = plan.rank;
  options.alpha = static_cast<double>(plan.alpha);
  options.dropout = plan.dropout;
  options.use_dora = plan.adapter == AdapterKind::kDora;
  options.target_modules = plan.target_modules;
  options.modules_to_save = plan.modules_to_save;
  return options;
}

double TrainingPlan::rate_at(int64_t step) const {
  const auto s = static_cast<double>(step);
  const auto warm = static_cast<double>(warmup_steps);
  if (schedule == LrScheduler::kConstant) return learning_rate;
  if (step < warmup_steps) return learning_rate * (s + 1) / warm;
  const double span = std::max(1.0, static_cast<double>(steps) - warm);
  const double progress = (s - warm) / span;
  if (schedule == LrScheduler::kLinear) return learning_rate * (1.0 - progress);
  return learning_rate * 0.5 * (1.0 + exact_cos(std::numbers::pi * progress));
}

int64_t max_row_tokens(const Frontmatter& frontmatter, const ModelConfig& model) {
  return std::min(frontmatter.training.sequence_len, model.max_positions);
}

DType choose_dtype(const Frontmatter& frontmatter, bool machine_has_bf16) {
  const auto& wanted = frontmatter.training.precision;
  if (!wanted) return machine_has_bf16 ? DType::kBF16 : DType::kF32;
  if (*wanted == Precision::kFp16) {
    throw Error(ErrorKind::kTrain, "training.precision fp16 is not supported on a CPU",
                "write bf16 or fp32, or leave the key out");
  }
  if (*wanted == Precision::kBf16 && !machine_has_bf16) {
    throw Error(ErrorKind::kTrain,
                "this processor has no bf16 products, which training.precision asks for",
                "write fp32, or leave the key out");
  }
  return *wanted == Precision::kBf16 ? DType::kBF16 : DType::kF32;
}

void check_supported(const Frontmatter& f) {
  const TrainingConfig& t = f.training;
  const auto refuse = [](const std::string& what, const std::string& hint) {
    throw Error(ErrorKind::kTrain, what, hint);
  };
  if (t.adapters)
    refuse("training.adapters: named adapters are not trained by this version",
           "write the flat keys of training instead");
  if (t.adapter.target_modules && !t.adapter.target_modules->empty() &&
      std::all_of(t.adapter.target_modules->begin(), t.adapter.target_modules->end(),
                  is_trained_whole)) {
    refuse("training.target_modules names no linear layer",
           "add some, for example q_proj and v_proj, or all-linear");
  }
  if (t.optimizer != Optimizer::kAdamw) {
    refuse(std::string("training.optimizer: ") + word_of(kOptimizerWords, t.optimizer) +
               " is not supported",
           "write optimizer: adamw_torch, or leave the key out");
  }
}

TrainingPlan make_plan(const PlanInput& in) {
  const TrainingConfig& t = in.frontmatter->training;
  const auto written = [&](const char* key) {
    return in.frontmatter->was_written(std::string("training.") + key);
  };
  TrainingPlan p;
  p.reasons = in.row_notes;
  p.dtype = choose_dtype(*in.frontmatter, in.machine_has_bf16);
  p.seed = in.seed.value_or(t.seed);
  p.rank = t.adapter.lora_r;
  p.alpha = t.adapter.lora_alpha;
  p.dropout = t.adapter.lora_dropout;
  p.schedule = t.lr_scheduler;
  p.adapter = t.adapter.kind;
  for (const std::string& name : t.adapter.target_modules.value_or(std::vector<std::string>{})) {
    (is_trained_whole(name) ? p.modules_to_save : p.target_modules).push_back(name);
  }
  std::sort(p.modules_to_save.begin(), p.modules_to_save.end());
  const auto repeated = std::unique(p.modules_to_save.begin(), p.modules_to_save.end());
  p.modules_to_save.erase(repeated, p.modules_to_save.end());
  p.base_format = in.base_format.value_or(base_format_of(p.adapter));
  if (p.base_format.linear) {
    p.reasons.push_back(
        std::string("frozen layers in ") +
        (*p.base_format.linear == QuantFormat::kNF4 ? "4 bits (NF4): " : "8 bits (int8): ") +
        (in.base_format ? "asked for" : "adapter qlora"));
  }
  p.max_tokens = max_row_tokens(*in.frontmatter, *in.model);
  p.reasons.push_back(
      std::string("precision ") + dtype_name(p.dtype) +
      (written("precision") ? ": written" : ": the fastest exact-enough mode here"));

  // Rows a step.
  const int64_t micro = t.micro_batch_size.value_or(0);
  const int64_t accum = t.grad_accum.value_or(0);
  if (micro > 0 || accum > 0) {
    p.rows_per_step = std::min(in.num_rows, micro > 0 && accum > 0 ? micro * accum
                                            : micro > 0            ? micro
                                                                   : accum);
    p.reasons.push_back(fmt::format("{} rows a step: written", p.rows_per_step));
  } else {
    p.rows_per_step = std::min(in.num_rows, kRowsPerStep);
    p.reasons.push_back(fmt::format("{} rows a step", p.rows_per_step));
  }
  p.rows_per_step = std::max<int64_t>(1, p.rows_per_step);
  p.general_rows_per_step = std::min(in.num_general_rows, std::max<int64_t>(4, p.rows_per_step));
  if (in.num_general_rows > 0) {
    p.reasons.push_back(
        fmt::format("{} general rows a step keep other prompts clean", p.general_rows_per_step));
  }

  // Steps.
  const int64_t steps_per_epoch = (in.num_rows + p.rows_per_step - 1) / p.rows_per_step;
  if (written("num_epochs")) {
    p.steps =
        std::max<int64_t>(1, (in.num_rows * t.num_epochs + p.rows_per_step - 1) / p.rows_per_step);
    p.reasons.push_back(fmt::format("{} steps: {} epochs written", p.steps, t.num_epochs));
  } else {
    const auto passes = static_cast<int64_t>(kLargePasses * static_cast<double>(steps_per_epoch));
    p.steps = std::max(kSmallSteps, passes);
    p.reasons.push_back(fmt::format("{} steps, about {} passes over {} rows", p.steps,
                                    std::max<int64_t>(1, p.steps / steps_per_epoch), in.num_rows));
  }
  if (in.max_steps && p.steps > *in.max_steps) {
    p.steps = *in.max_steps;
    p.reasons.push_back(fmt::format("{} steps: --max-steps", p.steps));
  }

  // Rate.
  if (written("learning_rate")) {
    p.learning_rate = t.adapter.learning_rate;
    p.reasons.push_back(fmt::format("rate {:g}: written", p.learning_rate));
  } else {
    p.learning_rate = rate_for(in.model->num_parameters());
    p.reasons.push_back(fmt::format("rate {:g} for a base of {:.1f} million parameters",
                                    p.learning_rate,
                                    static_cast<double>(in.model->num_parameters()) / 1e6));
  }
  p.warmup_steps = static_cast<int64_t>(std::ceil(t.warmup_ratio * static_cast<double>(p.steps)));
  p.holds_out = holds_out(in.num_chat_rows);
  p.reasons.push_back(p.holds_out
                          ? "a tenth of the rows is held out to choose the weights"
                          : fmt::format("nothing is held out: fewer than {} pairs", kHoldOutFrom));
  p.eval_every = std::max<int64_t>(1, p.steps / 10);

  const ModelConfig& m = *in.model;
  const int64_t mean_row = std::max<int64_t>(1, in.num_tokens / std::max<int64_t>(1, in.num_rows));
  const int64_t mean_general =
      in.num_general_rows > 0 ? in.general_tokens / in.num_general_rows : 0;
  const int64_t step_tokens = mean_row * p.rows_per_step + mean_general * p.general_rows_per_step;
  // General rows are trained on from the second step on.
  const MemoryPlan memory =
      plan_memory(memory_input(in, p, p.steps > 1 ? step_tokens : mean_row * p.rows_per_step));
  p.micro_batch_tokens = memory.micro_batch_tokens;
  p.recompute = memory.recompute;
  p.memory = memory.needs;
  p.num_trained = memory.num_trained;
  p.predicted_peak_bytes = memory.needs.total();
  p.reasons.push_back(memory.reason);
  if (in.gflops > 0) {
    // Half of the matrix roof is what a step reaches with attention and everything between
    // products.
    p.predicted_seconds = static_cast<double>(p.steps) * static_cast<double>(step_tokens) *
                          flops_per_token(m) / (0.5e9 * in.gflops);
  }
  return p;
}

Json plan_json(const TrainingPlan& p) {
  Json json = Json::object();
  json.set("adapter", word_of(kAdapterKindWords, p.adapter));
  json.set("alpha", p.alpha);
  json.set("base_weights", std::string(trained_base_word(p.base_format)));
  json.set("dropout", p.dropout);
  json.set("est_peak_gb", static_cast<double>(p.predicted_peak_bytes) / 1e9);
  json.set("est_seconds", p.predicted_seconds);
  json.set("general_rows_per_step", p.general_rows_per_step);
  json.set("holds_out", p.holds_out);
  json.set("learning_rate", p.learning_rate);
  json.set("lr_scheduler", word_of(kLrSchedulerWords, p.schedule));
  json.set("max_tokens", p.max_tokens);
  json.set("micro_batch_tokens", p.micro_batch_tokens);
  Json whole = Json::array();
  for (const std::string& module : p.modules_to_save) whole.push_back(module);
  json.set("modules_to_save", std::move(whole));
  json.set("precision", p.dtype == DType::kBF16 ? "bf16" : "fp32");
  json.set("rank", p.rank);
  Json reasons = Json::array();
  for (const std::string& reason : p.reasons) reasons.push_back(reason);
  json.set("reasons", std::move(reasons));
  json.set("recompute", recompute_name(p.recompute));
  json.set("rows_per_step", p.rows_per_step);
  json.set("seed", p.seed);
  json.set("steps", p.steps);
  json.set("warmup_steps", p.warmup_steps);
  return json;
}

}  // namespace dlm
