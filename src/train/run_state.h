// All that a stopped run needs to go on with the same bytes, and its form as a torch archive: the
// checkpoint of an unfinished run, the training_state.pt of a version. Random numbers are hashes of
// seed and step, so the two are the whole random state and the order of the data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/torch_pt.h"
#include "model/lora.h"
#include "support/json.h"
#include "train/general_rows.h"
#include "train/loop.h"

namespace dlm {

// What computes: the same three give the same bytes (docs/determinism.md).
struct Machinery {
  std::string program;
  std::string onednn;
  std::string instruction_set;
  bool operator==(const Machinery&) const = default;
};
Machinery machinery_of(const Device& device);

// The steps that were taken under one plan by one machinery.
struct RunPart {
  Json plan;  // plan_record
  int64_t until_step = 0;
  Machinery machinery;
};

// What a run was made from, by digest.
struct RunInputs {
  std::string base;           // key or path
  std::string base_revision;  // SHA-256 of the weights
  std::string rows_sha256;    // the document's rows as tokens
  std::string prompt_sha256;  // of the system prompt
  std::string tokenizer_sha256;
  std::string adapter_config;         // adapter_config.json on one line
  std::vector<std::string> replayed;  // references to the history, whose rows are among the rows
};

struct RunState {
  int64_t run_id = 0;
  std::optional<int64_t> max_steps;  // of the command line
  RunInputs inputs;
  std::vector<RunPart> parts;  // the last one ends at loop.step
  GeneralRows general;
  LoopState loop;
  std::vector<std::string> names;  // of the parameters, in the order of loop's tensors

  int64_t seed() const;
  BaseFormat base_format() const;
};

// Refers to the state's tensors, which must outlive it.
TorchValue run_state_value(const RunState& state);
// Throws Error(kResume) for a state of another program or version, and for one that lacks parts.
RunState read_run_state(const TorchValue& value, const std::string& path);

// What differs and must not, in words. What computes is compared with the last part's.
std::vector<std::string> run_differences(const RunState& before, const RunInputs& now,
                                         const Json& plan);
std::vector<std::string> machinery_differences(const Machinery& before, const Machinery& now);

// Brings the state's tensors into the adapter's order. Throws Error(kResume) naming tensor and
// shapes when they do not fit.
void fit_to_adapter(RunState& state, LoraAdapter& adapter);

// SHA-256 over sizes, tokens, labels and ids.
std::string general_digest(const GeneralRows& general);

}  // namespace dlm
