// What a document's training would be here, for people and for programs: the second part of
// `dlm doctor`.
#pragma once

#include <string>

#include "support/json.h"
#include "train/forecast.h"

namespace dlm {

std::string forecast_text(const Forecast& forecast, const std::string& document);
// "plan", "plan_error", "document", "would_train", "refusals" and "bases", into `json`.
void set_forecast(const Forecast& forecast, const std::string& document, Json& json);

// Lines "  refused, KIND: PLACE: MESSAGE" with the hint below.
std::string refusals_text(const std::vector<Refusal>& refusals);
Json refusals_json(const std::vector<Refusal>& refusals);

}  // namespace dlm
