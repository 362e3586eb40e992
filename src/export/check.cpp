#include "export/check.h"

#include <algorithm>

#include "export/gguf_export.h"
#include "support/hash.h"

namespace dlm {

namespace {

// What the provenance says was exported, as a plan for finding it in the store.
ExportPlan plan_of(const ExportManifest& manifest, const Json& provenance) {
  ExportPlan plan;
  plan.quant = find_quant(manifest.quant);
  plan.merged = manifest.merged;
  plan.dequantize = manifest.dequantized;
  for (const Json& adapter : provenance.at("adapters").items()) {
    const Json& name = adapter.at("name");
    plan.adapters.push_back(name.is_null() ? "" : name.as_string());
  }
  return plan;
}

// The store's folder, when the export lies where stores have exports.
std::optional<fs::path> store_of(const fs::path& folder) {
  const fs::path exports = fs::weakly_canonical(folder).parent_path();
  if (exports.filename() != "exports") return std::nullopt;
  return exports.parent_path();
}

// The version of the adapter that was exported, which need not be the current one.
std::string version_folder_name(const Json& adapter) {
  return version_name(adapter.at("version").as_int());
}

ProofResult prove_again(const CheckRequest& request, const ExportManifest& manifest,
                        const fs::path& root, const ExportEvents& events) {
  const fs::path provenance_path = request.folder / kExportProvenanceFile;
  const Json provenance = parse_json(read_file(provenance_path), provenance_path.string());
  const ExportPlan plan = plan_of(manifest, provenance);
  const StoreLayout store = StoreLayout::at(root);
  const Json& first = provenance.at("adapters").items().at(0);
  const fs::path version = store.versions(plan.adapters.front()) / version_folder_name(first);
  const fs::path weights = version / kAdapterWeightsFile;
  if (!path_exists(weights) || sha256_file_hex(weights) != first.at("sha256").as_string()) {
    throw Error(ErrorKind::kExport, "the store no longer has the adapter that was exported", {},
                {version.string(), 0, 0});
  }
  const fs::path document = request.document.empty() ? version / kDocumentFile : request.document;
  const auto warn = [&](const std::string& text) {
    if (events.on_warning) events.on_warning(text);
  };
  ExportInputs inputs = read_inputs(document, store, request.home, plan, request.bases, warn);
  inputs.adapters.front().folder = version;
  ProofLimits limits = proof_limits(*plan.quant);
  if (request.max_kl) limits.max_kl = *request.max_kl;
  if (request.min_agreement) limits.min_agreement = *request.min_agreement;
  Device device(request.num_threads);
  const std::string model =
      (plan.merged ? "merged." : "base.") + std::string(quant_name(*plan.quant)) + ".gguf";
  const std::string adapter = plan.merged ? "" : "adapter.gguf";
  TrainedModel trained = load_trained(inputs, version, device);
  return prove_gguf({inputs, plan, version, request.folder, {}, limits}, trained, model, adapter,
                    device);
}

}  // namespace

CheckResult check_export(const CheckRequest& request, const ExportEvents& events) {
  const fs::path path = request.folder / kExportManifestFile;
  if (!path_exists(path)) {
    throw Error(ErrorKind::kExport, "there is no export_manifest.json",
                "name the folder of an export", {request.folder.string(), 0, 0});
  }
  CheckResult result;
  result.manifest = parse_export_manifest(read_file(path), path);
  result.faults = check_artifacts(request.folder, result.manifest);
  if (!result.faults.empty()) return result;
  const bool is_gguf = find_quant(result.manifest.quant).has_value();
  const auto root = store_of(request.folder);
  if (!is_gguf) {
    result.no_proof_reason = "the target has no GGUF file to run";
  } else if (!root) {
    result.no_proof_reason = "the folder does not lie in a store";
  } else {
    const fs::path provenance_path = request.folder / kExportProvenanceFile;
    const Json provenance = parse_json(read_file(provenance_path), provenance_path.string());
    if (provenance.at("adapters").size() != 1) {
      result.no_proof_reason = "a mix is proved when it is exported";
    } else {
      result.proof = prove_again(request, result.manifest, *root, events);
      result.faults = result.proof->faults();
    }
  }
  return result;
}

}  // namespace dlm
