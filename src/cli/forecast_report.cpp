#include "cli/forecast_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/progress.h"
#include "support/text.h"

namespace dlm {

namespace {

std::string size_of(int64_t parameters) {
  if (parameters == 0) return "?";
  const double millions = static_cast<double>(parameters) / 1e6;
  if (millions < 10) return fmt::format("{:.1f}M", millions);
  return millions < 1000 ? fmt::format("{:.0f}M", millions)
                         : fmt::format("{:.1f}B", millions / 1000);
}

const char* state_of(const BasePresence& presence) {
  if (presence.is_whole) return "here";
  return presence.is_partial ? "incomplete" : "absent";
}

std::string time_of(const TrainingPlan& plan) {
  return plan.predicted_seconds > 0 ? format_duration(plan.predicted_seconds) : "unknown";
}

// Each kind once.
std::string kinds_of(const std::vector<Refusal>& refusals) {
  std::vector<std::string> kinds;
  for (const Refusal& r : refusals) {
    if (std::find(kinds.begin(), kinds.end(), r.kind) == kinds.end()) kinds.push_back(r.kind);
  }
  return join(kinds, ", ");
}

std::string verdict(const BaseForecast& base) {
  if (base.refusals.empty()) return "would train";
  const std::string kinds = kinds_of(base.refusals);
  if (kinds != "absent" || base.size_gb == 0) return "refused: " + kinds;
  return fmt::format("would train once fetched ({:g} GB)", base.size_gb);
}

std::string tokens_text(const BaseForecast& base) {
  return fmt::format("{}{} tokens in {} {}{}", base.is_estimated ? "about " : "", base.num_tokens,
                     base.num_rows, base.num_rows == 1 ? "row" : "rows",
                     base.is_estimated ? ", estimated from bytes without its tokenizer" : "");
}

std::string plan_text(const TrainingPlan& plan) {
  std::string text;
  text +=
      fmt::format("  adapter      {}, rank {}, {} parameters\n",
                  word_of(kAdapterKindWords, plan.adapter), plan.rank, size_of(plan.num_trained));
  text += fmt::format("  precision    {}\n", precision_word(plan.dtype));
  text += fmt::format("  steps        {} of {} + {} rows at rate {:g}\n", plan.steps,
                      plan.rows_per_step, plan.general_rows_per_step, plan.learning_rate);
  text += fmt::format("  est. memory  {}\n", format_bytes(plan.predicted_peak_bytes));
  text += fmt::format("  est. time    {}\n", time_of(plan));
  for (const std::string& reason : plan.reasons) text += "  - " + reason + "\n";
  return text;
}

std::string table(const Forecast& forecast) {
  constexpr const char* kRow = "{:<31} {:>6}  {:<10} {:>10} {:>12}  {}\n";
  std::string text = fmt::format(kRow, "BASE", "PARAMS", "STATE", "MEMORY", "TIME", "VERDICT");
  for (const BaseForecast& base : forecast.bases) {
    text += fmt::format(kRow, base.base + (base.is_wanted ? " *" : ""),
                        size_of(base.num_parameters), state_of(base.presence),
                        base.plan ? format_bytes(base.plan->predicted_peak_bytes) : "-",
                        base.plan ? time_of(*base.plan) : "-", verdict(base));
  }
  return text + "* the document's base. `dlm doctor PATH --base KEY` says more of another.\n";
}

// The Python program's fields beside ours; those of devices with memory of their own are null.
Json plan_fields(const TrainingPlan& plan) {
  Json json = plan_json(plan);
  json.set("num_trained_parameters", plan.num_trained);
  json.set("attn_implementation", "varlen");
  json.set("use_qlora", plan.base_format.linear.has_value());
  json.set("quant_compute_dtype",
           plan.base_format.linear ? Json(precision_word(plan.dtype)) : Json());
  json.set("micro_batch_size", Json());
  json.set("grad_accum", Json());
  json.set("effective_batch_size", plan.rows_per_step);
  json.set("gradient_checkpointing", plan.recompute == Recompute::kLayers);
  json.set("est_peak_vram_gb", Json());
  json.set("est_step_seconds", plan.predicted_seconds > 0 && plan.steps > 0
                                   ? Json(plan.predicted_seconds / static_cast<double>(plan.steps))
                                   : Json());
  json.set("reason", join(plan.reasons, ", "));
  json.set("world_size", 1);
  return json;
}

Json base_json(const BaseForecast& base) {
  Json json = Json::object();
  json.set("base", base.base);
  json.set("is_wanted", base.is_wanted);
  json.set("params", base.num_parameters > 0 ? Json(base.num_parameters) : Json());
  json.set("size_gb", base.size_gb > 0 ? Json(base.size_gb) : Json());
  json.set("state", state_of(base.presence));
  json.set("rows", base.plan ? Json(base.num_rows) : Json());
  json.set("tokens", base.plan ? Json(base.num_tokens) : Json());
  json.set("tokens_estimated", base.is_estimated);
  json.set("est_peak_gb",
           base.plan ? Json(static_cast<double>(base.plan->predicted_peak_bytes) / 1e9) : Json());
  json.set("est_seconds", base.plan && base.plan->predicted_seconds > 0
                              ? Json(base.plan->predicted_seconds)
                              : Json());
  json.set("would_train", base.refusals.empty());
  json.set("refusals", refusals_json(base.refusals));
  return json;
}

std::vector<Refusal> all_refusals(const Forecast& forecast) {
  std::vector<Refusal> all = forecast.refusals;
  const auto& of_base = forecast.wanted().refusals;
  all.insert(all.end(), of_base.begin(), of_base.end());
  return all;
}

}  // namespace

std::string refusals_text(const std::vector<Refusal>& refusals) {
  std::string text;
  for (const Refusal& r : refusals) {
    const std::string place = r.place.to_string();
    text += "  " + r.kind + ": " + (place.empty() ? "" : place + ": ") + r.message + "\n";
    if (!r.hint.empty()) text += "    " + r.hint + "\n";
  }
  return text;
}

Json refusals_json(const std::vector<Refusal>& refusals) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json list = Json::array();
  for (const Refusal& r : refusals) {
    list.push_back(Json::object({{"kind", Json(r.kind)},
                                 {"message", Json(r.message)},
                                 {"hint", or_null(r.hint)},
                                 {"place", or_null(r.place.to_string())}}));
  }
  return list;
}

std::string forecast_text(const Forecast& forecast, const std::string& document) {
  const BaseForecast& wanted = forecast.wanted();
  std::string text = fmt::format("Document {}: {} {}, {} {}; base {}", document, forecast.num_pairs,
                                 forecast.num_pairs == 1 ? "pair" : "pairs", forecast.num_texts,
                                 forecast.num_texts == 1 ? "text" : "texts", forecast.base);
  if (wanted.plan) text += ": " + tokens_text(wanted);
  text += "\n";
  if (wanted.plan) {
    text += "Plan:\n" + plan_text(*wanted.plan);
    for (const std::string& note : forecast.notes) text += "  - " + note + "\n";
  }
  if (forecast.would_train()) {
    text += "Nothing would be refused.\n";
  } else {
    text += "Would be refused:\n" + refusals_text(all_refusals(forecast));
  }
  if (forecast.rate) {
    text += fmt::format("Times follow from {:.0f} GFLOP/s, {}.\n", forecast.rate->gflops,
                        forecast.rate->measured
                            ? "measured just now in a moment; `dlm doctor --bench` records it"
                            : "as recorded");
  }
  if (forecast.bases.size() > 1) text += "\n" + table(forecast);
  return text;
}

void set_forecast(const Forecast& forecast, const std::string& document, Json& json) {
  const BaseForecast& wanted = forecast.wanted();
  const std::vector<Refusal> refusals = all_refusals(forecast);
  json.set("plan", wanted.plan && forecast.would_train() ? plan_fields(*wanted.plan) : Json());
  json.set("plan_error", refusals.empty() ? Json() : Json(refusals.front().message));
  json.set("would_train", forecast.would_train());
  json.set("refusals", refusals_json(refusals));
  Json of_document = Json::object();
  of_document.set("path", document);
  of_document.set("pairs", forecast.num_pairs);
  of_document.set("texts", forecast.num_texts);
  json.set("document", std::move(of_document));
  Json notes = Json::array();
  for (const std::string& note : forecast.notes) notes.push_back(note);
  json.set("notes", std::move(notes));
  json.set("gflops", forecast.rate ? Json(forecast.rate->gflops) : Json());
  json.set("gflops_recorded", forecast.rate && !forecast.rate->measured);
  Json bases = Json::array();
  for (const BaseForecast& base : forecast.bases) bases.push_back(base_json(base));
  json.set("bases", std::move(bases));
}

}  // namespace dlm
