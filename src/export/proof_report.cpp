// What a proof says, and what it asks for.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "export/proof.h"

namespace dlm {

namespace {

// What rounding of the trained base adds to `limits`.
ProofLimits with_rounded_base(ProofLimits limits, const BaseFormat& trained_on) {
  if (!trained_on.linear) return limits;
  const ProofLimits rounded =
      proof_limits(*trained_on.linear == QuantFormat::kInt8 ? Quant::kQ8_0 : Quant::kQ4_K_M);
  limits.max_kl = std::max(limits.max_kl, rounded.max_kl);
  limits.min_agreement = std::min(limits.min_agreement, rounded.min_agreement);
  return limits;
}

// Six decimals: what is below is rounding of the computing itself.
Json figure(double value) {
  return std::isfinite(value) ? Json(std::round(value * 1e6) / 1e6) : Json();
}

}  // namespace

ProofLimits proof_limits(Quant quant) {
  switch (quant) {
    case Quant::kF32:
    case Quant::kF16:
    case Quant::kBF16:
      return {.max_kl = 0.003, .min_agreement = 0.98};
    case Quant::kQ8_0:
      return {.max_kl = 0.005, .min_agreement = 0.97};
    case Quant::kQ6_K:
      return {.max_kl = 0.02, .min_agreement = 0.95};
    case Quant::kQ5_K_M:
      return {.max_kl = 0.05, .min_agreement = 0.92};
    case Quant::kQ4_K_M:
      return {.max_kl = 0.12, .min_agreement = 0.88};
  }
  return {};
}

ProofLimits gguf_limits(Quant quant, const BaseFormat& trained_on) {
  return with_rounded_base(proof_limits(quant), trained_on);
}

ProofLimits merged_limits(const BaseFormat& trained_on) {
  return with_rounded_base(proof_limits(Quant::kBF16), trained_on);
}

ProofLimits adapter_limits(const BaseFormat& trained_on) {
  return with_rounded_base({.max_kl = 0.0005, .min_agreement = 0.99}, trained_on);
}

std::vector<std::string> ProofResult::faults() const {
  std::vector<std::string> faults;
  // Written so that what is no number counts as a fault.
  if (!(mean_kl <= limits.max_kl)) {
    faults.push_back(
        fmt::format("the mean divergence is {:.4f}, the limit {:g}", mean_kl, limits.max_kl));
  }
  const bool has_ties_only = mean_kl <= limits.max_kl / 10;
  // A model that agrees as often as the limit says falls short of it by more than two standard
  // errors of so many tokens in one of forty documents.
  const double limit = limits.min_agreement;
  const double chance =
      2 * std::sqrt(limit * (1 - limit) / static_cast<double>(std::max<int64_t>(tokens, 1)));
  if (!(agreement >= limit - chance) && !has_ties_only) {
    faults.push_back(
        fmt::format("{:.1f}% of {} tokens have the same likeliest successor, the limit "
                    "is {:g}%, less {:.1f} for chance",
                    100 * agreement, tokens, 100 * limit, 100 * chance));
  }
  const auto all = static_cast<double>(texts);
  if (!(static_cast<double>(same_texts) >= limits.min_same_texts * all)) {
    faults.push_back(fmt::format("{} of {} texts become other tokens", texts - same_texts, texts));
  }
  if (adapter_difference && !adapter_difference->empty()) {
    faults.push_back("the adapter beside the merged weights is not the trained one: " +
                     *adapter_difference);
  }
  return faults;
}

Json proof_json(const ProofResult& r) {
  Json limits = Json::object();
  limits.set("max_kl", r.limits.max_kl);
  limits.set("min_agreement", r.limits.min_agreement);
  limits.set("min_same_texts", r.limits.min_same_texts);
  Json answers = Json::array();
  for (const ProofAnswer& answer : r.answers) {
    Json one = Json::object();
    one.set("question", answer.question);
    one.set("trained", answer.trained);
    one.set("exported", answer.exported);
    one.set("equal", answer.is_equal());
    one.set("same_prompt", answer.is_same_prompt);
    answers.push_back(std::move(one));
  }
  Json faults = Json::array();
  for (const std::string& fault : r.faults()) faults.push_back(fault);
  Json json = Json::object();
  json.set("proof_version", 2);
  if (!r.module.empty()) json.set("module", r.module);
  json.set("quant", r.quant ? Json(quant_name(*r.quant)) : Json("hf"));
  json.set("holds", r.holds());
  json.set("faults", std::move(faults));
  json.set("limits", std::move(limits));
  json.set("rows", r.rows);
  json.set("tokens", r.tokens);
  json.set("agreement", figure(r.agreement));
  json.set("mean_kl", figure(r.mean_kl));
  json.set("p99_kl", figure(r.p99_kl));
  json.set("max_kl", figure(r.max_kl));
  json.set("trained_perplexity", figure(r.trained_perplexity));
  json.set("exported_perplexity", figure(r.exported_perplexity));
  json.set("texts", r.texts);
  json.set("same_texts", r.same_texts);
  json.set("first_other_text", r.first_other_text.empty() ? Json() : Json(r.first_other_text));
  json.set("answers", std::move(answers));
  if (r.adapter_difference) json.set("adapter_equal", r.adapter_difference->empty());
  Json files = Json::array();
  for (const ProvedFile& file : r.files) {
    files.push_back(Json::object({{"path", Json(file.path)}, {"sha256", Json(file.sha256)}}));
  }
  json.set("files", std::move(files));
  return json;
}

Json proofs_json(const std::vector<ProofResult>& results) {
  if (results.size() == 1) return proof_json(results.front());
  Json modules = Json::array();
  bool holds = true;
  for (const ProofResult& r : results) {
    modules.push_back(proof_json(r));
    holds = holds && r.holds();
  }
  Json json = Json::object();
  json.set("proof_version", 2);
  json.set("holds", holds);
  json.set("modules", std::move(modules));
  return json;
}

std::optional<ProofLimits> stated_limits(const Json& json, const std::string& module) {
  if (const Json* modules = json.find("modules"); modules != nullptr) {
    for (const Json& one : modules->items()) {
      if (const auto found = stated_limits(one, module)) return found;
    }
    return std::nullopt;
  }
  const Json* name = json.find("module");
  if ((name == nullptr ? "" : name->as_string()) != module) return std::nullopt;
  const Json& limits = json.at("limits");
  return ProofLimits{.max_kl = limits.at("max_kl").as_double(),
                     .min_agreement = limits.at("min_agreement").as_double(),
                     .min_same_texts = limits.at("min_same_texts").as_double()};
}

std::string proof_text(const ProofResult& r) {
  size_t same_answers = 0;
  for (const ProofAnswer& answer : r.answers) same_answers += answer.is_equal() ? 1 : 0;
  std::string text = fmt::format(
      "proof{}: {} tokens of {} rows: {:.1f}% same likeliest token, divergence {:.4f} (limits "
      "{:g}%, "
      "{:g})\n",
      r.module.empty() ? "" : " of " + r.module, r.tokens, r.rows, 100 * r.agreement, r.mean_kl,
      100 * r.limits.min_agreement, r.limits.max_kl);
  text +=
      fmt::format("       perplexity {:.3f} trained, {:.3f} exported; {} of {} texts same tokens",
                  r.trained_perplexity, r.exported_perplexity, r.same_texts, r.texts);
  if (!r.answers.empty()) {
    text += fmt::format("; {} of {} answers word for word", same_answers, r.answers.size());
  }
  if (r.adapter_difference && r.adapter_difference->empty())
    text += "; adapter/ is the trained one";
  text += "\n";
  for (const std::string& fault : r.faults()) text += "       " + fault + "\n";
  return text;
}

}  // namespace dlm
