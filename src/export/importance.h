// The importance matrix of an export: what a quantizer to few bits weighs its errors by, collected
// from the rows that the adapter was trained on, or taken from the store's cache when it still
// holds.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "export/imatrix_cache.h"
#include "export/inputs.h"
#include "model/decoder.h"
#include "model/lora.h"

namespace dlm {

// Base and adapter as they were trained.
struct TrainedModel {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<LoraAdapter> adapter;
};
TrainedModel load_trained(const ExportInputs& inputs, const fs::path& adapter, Device& device);

struct ImportanceReport {
  Imatrix imatrix;
  int64_t num_tokens = 0;
  std::string notice;  // for the user; "" when nothing
  bool was_kept = false;
  std::string sha256;  // of imatrix.gguf
};

// Leaves imatrix.dat, imatrix.gguf and their record in `folder`, and in `cache` for later exports.
// `merged`: of the model with the adapter, else of the base alone. None when the rows have too few
// tokens; `notice` says so then.
std::optional<ImportanceReport> make_importance(const ExportInputs& inputs, TrainedModel& trained,
                                                const fs::path& adapter, bool merged,
                                                const fs::path& cache, const fs::path& folder,
                                                Device& device, std::string& notice);

}  // namespace dlm
