// What a run reads before its first step, and what follows from it: the input of the plan, the rows
// of the loop, the options of the adapter, the digests that tell this run's inputs from another's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bases/locate.h"
#include "data/chat_format.h"
#include "data/rows.h"
#include "data/source_sections.h"
#include "doc/document.h"
#include "model/lora.h"
#include "train/loop.h"
#include "train/plan.h"
#include "train/run_state.h"

namespace dlm {

struct Prepared {
  std::string document_bytes;
  std::string shown_path;  // of the document, for messages
  Document document;
  Base base;
  std::string base_stamp;  // weights_stamp() of before the digest was taken
  ModelConfig model_config;
  std::unique_ptr<ChatFormat> format;
  SourceSections sources;  // their sections stand behind the document's own
  DocumentRows rows;
  std::vector<TokenRow> token_rows;
};

// How training.sources are read.
struct SourceRequest {
  fs::path document;  // where the document lies; empty: shown_path
  fs::path home;      // of the stores, for the index of source files; empty: none is used
  bool allows_secrets = false;
  int64_t now_unix_seconds = 0;
};

// Parses the document's bytes, reads its sources and opens its base, or `base` instead. Throws what
// each part throws.
Prepared prepare(std::string document_bytes, const std::string& shown_path,
                 const std::optional<std::string>& base, const BaseSearch& bases,
                 const std::function<void(const Warning&)>& on_warning = {},
                 const SourceRequest& sources = {});
// Where a document's store keeps what is known of its source files.
fs::path source_index_path(const fs::path& home, const Frontmatter& frontmatter);
std::string read_document(const fs::path& path);

// Measures the processor when `measures_speed`, for the cost that the plan tells. max_memory_bytes
// is what the user allows, or 0.
PlanInput plan_input(const Prepared& p, Device& device, std::optional<int64_t> max_steps,
                     std::optional<int64_t> seed, uint64_t max_memory_bytes, bool measures_speed);
LoraOptions lora_options(const Prepared& p, const TrainingPlan& plan);
LoopRows split_rows(const Prepared& p, const TrainingPlan& plan, GeneralRows general);

// Inputs but for the adapter's configuration, which the adapter itself gives.
RunInputs run_inputs(const Prepared& p);

}  // namespace dlm
