// What a proof says, and what it asks for.

#include <fmt/format.h>

#include <cmath>

#include "export/proof.h"

namespace dlm {

namespace {

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
      return {.max_kl = 0.005, .min_agreement = 0.98};
    case Quant::kQ8_0:
      return {.max_kl = 0.01, .min_agreement = 0.97};
    case Quant::kQ6_K:
      return {.max_kl = 0.03, .min_agreement = 0.95};
    case Quant::kQ5_K_M:
      return {.max_kl = 0.08, .min_agreement = 0.92};
    case Quant::kQ4_K_M:
      return {.max_kl = 0.2, .min_agreement = 0.85};
  }
  return {};
}

std::vector<std::string> ProofResult::faults() const {
  std::vector<std::string> faults;
  // Written so that what is no number counts as a fault.
  if (!(mean_kl <= limits.max_kl)) {
    faults.push_back(
        fmt::format("the mean divergence is {:.4f}, the limit {:g}", mean_kl, limits.max_kl));
  }
  if (!(agreement >= limits.min_agreement)) {
    faults.push_back(
        fmt::format("{:.1f}% of tokens have the same likeliest successor, the limit "
                    "is {:g}%",
                    100 * agreement, 100 * limits.min_agreement));
  }
  const auto all = static_cast<double>(texts);
  if (!(static_cast<double>(same_texts) >= limits.min_same_texts * all)) {
    faults.push_back(fmt::format("{} of {} texts become other tokens", texts - same_texts, texts));
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
  json.set("proof_version", 1);
  json.set("quant", quant_name(r.quant));
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
  json.set("gguf_sha256", r.gguf_sha256);
  json.set("adapter_sha256", r.gguf_adapter_sha256.empty() ? Json() : Json(r.gguf_adapter_sha256));
  return json;
}

std::string proof_text(const ProofResult& r) {
  size_t same_answers = 0;
  for (const ProofAnswer& answer : r.answers) same_answers += answer.is_equal() ? 1 : 0;
  std::string text = fmt::format(
      "proof: {} tokens of {} rows: {:.1f}% same likeliest token, divergence {:.4f} (limits {:g}%, "
      "{:g})\n",
      r.tokens, r.rows, 100 * r.agreement, r.mean_kl, 100 * r.limits.min_agreement,
      r.limits.max_kl);
  text +=
      fmt::format("       perplexity {:.3f} trained, {:.3f} exported; {} of {} texts same tokens",
                  r.trained_perplexity, r.exported_perplexity, r.same_texts, r.texts);
  if (!r.answers.empty()) {
    text += fmt::format("; {} of {} answers word for word", same_answers, r.answers.size());
  }
  text += "\n";
  for (const std::string& fault : r.faults()) text += "       " + fault + "\n";
  return text;
}

}  // namespace dlm
