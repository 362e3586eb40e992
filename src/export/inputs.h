// What an export reads: the document, its trained adapters, the base that they were trained on; and
// every check that can be made before a byte is written.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bases/registry.h"
#include "export/adapter_folder.h"
#include "export/plan.h"
#include "store/store_layout.h"
#include "train/prepare.h"
#include "train/run_record.h"

namespace dlm {

struct ExportedAdapter {
  std::string name;  // "" for the document's only one
  fs::path folder;
  int64_t version = 1;
  double weight = 1;  // in a mix
  std::optional<RunRecord> record;
  BaseFormat trained_base;  // the form of the base that it was trained on
};

struct ExportInputs {
  StoreLayout store;
  Prepared prepared;               // rows, base folder, format
  const BaseInfo* info = nullptr;  // null: a base that is named by its path
  std::string base_digest;         // SHA-256 of its weights
  std::vector<ExportedAdapter> adapters;

  // For manifests; never a path.
  std::string base_id() const;
  std::string base_revision() const;
  // The largest of the adapters.
  int64_t adapter_version() const;
};

// The adapters that the plan names, as the store has them. Throws Error(kExport) when one was never
// trained, ExportFault("preflight[training_run_json]").
std::vector<ExportedAdapter> find_adapters(const StoreLayout& store, const ExportPlan& plan,
                                           const std::string& document_path);

// Reads everything. Throws what its parts throw, and Error(kBase) when the base is not on this
// machine.
ExportInputs read_inputs(const fs::path& document, const StoreLayout& store, const fs::path& home,
                         const ExportPlan& plan, const BaseSearch& bases,
                         const std::function<void(const std::string&)>& on_warning);

// Writes the weighted sum of the inputs' adapters into a folder of the store's cache that begins
// with `stem` and may be deleted at any time. Throws what write_mixed_adapter throws.
std::pair<fs::path, MixReport> mix_into_cache(const ExportInputs& inputs, MixMethod method,
                                              const std::string& stem);

// The probes of preflight, then the gate of merging: throws ExportFault("preflight[PROBE]") or
// ExportFault("merge").
void check_inputs(const ExportInputs& inputs, const ExportPlan& plan);

// Throws ExportFault("preflight[disk_space]") when `needed` bytes do not fit beside the store.
void check_disk(const fs::path& folder, const ExportPlan& plan, uint64_t needed);

}  // namespace dlm
