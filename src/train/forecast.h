// What `dlm train` would do with a document here, on its base and on others, and what it would
// refuse: plan, time and memory of each. Reads the document, its sources and the bases that are on
// this machine; writes nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bases/hub_settings.h"
#include "bases/presence.h"
#include "doc/warning.h"
#include "engine/exec.h"
#include "support/clock.h"
#include "train/plan.h"
#include "train/refusal.h"
#include "train/roofs.h"

namespace dlm {

struct ForecastRequest {
  fs::path document;
  fs::path home;
  BaseSearch bases;
  HubSettings hub;
  std::optional<std::string> base;       // this one alone, instead of the document's and all others
  std::optional<uint64_t> memory_bytes;  // that a run may take, instead of what is available now
  const Clock* clock = nullptr;
  std::function<void(const Warning&)> on_warning;
  // What else there is to find about a base that is on this machine; may be empty.
  std::function<std::vector<Refusal>(const std::string& base, const BaseSearch& search)> probe;
};

struct BaseForecast {
  std::string base;
  int64_t num_parameters = 0;  // 0: not known
  double size_gb = 0;          // of its weights; 0: not known
  BasePresence presence;
  bool is_wanted = false;  // the document's base, or the one that was asked for
  // Of the rows on this base; tokens are estimated from bytes where its tokenizer is not here.
  int64_t num_rows = 0;
  int64_t num_tokens = 0;
  bool is_estimated = false;
  // The plan that training would make; where no plan fits the memory, the one that needs least.
  // None for a base whose sizes are not known, or where the document's settings cannot be.
  std::optional<TrainingPlan> plan;
  std::vector<Refusal> refusals;  // empty: it would train
};

struct Forecast {
  std::string base;  // wanted
  int64_t num_pairs = 0;
  int64_t num_texts = 0;
  uint64_t memory_bytes = 0;        // that training could hold; 0: not known
  std::optional<ProductRate> rate;  // that the times follow from
  std::vector<Refusal> refusals;    // of the document, on whatever base
  std::vector<std::string> notes;   // said with the plan
  std::vector<BaseForecast> bases;  // the wanted one first

  const BaseForecast& wanted() const { return bases.front(); }
  // Whether training on the wanted base would begin.
  bool would_train() const { return refusals.empty() && wanted().refusals.empty(); }
};

// Throws what reading and parsing the document and its sources throws.
Forecast forecast_document(const ForecastRequest& request, Device& device);

}  // namespace dlm
