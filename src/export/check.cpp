#include "export/check.h"

#include <algorithm>

#include "export/gguf_export.h"
#include "infer/session.h"
#include "support/hash.h"

namespace dlm {

namespace {

// What was exported, as far as it is needed to find it in the store.
struct Exported {
  struct Version {
    std::string adapter;  // "" for the document's only one
    int64_t number = 1;
    std::string sha256;  // of its weights
  };
  ExportPlan plan;
  std::vector<Version> versions;
};

Exported read_provenance(const ExportManifest& manifest, const Json& provenance) {
  Exported exported;
  ExportPlan& plan = exported.plan;
  bool is_known = false;
  for (size_t i = 0; i < std::size(kExportTargetNames); ++i) {
    if (manifest.target != kExportTargetNames[i]) continue;
    plan.target = static_cast<ExportTarget>(i);
    is_known = true;
  }
  plan.quant = find_quant(manifest.quant);
  const bool has_quant =
      plan.target == ExportTarget::kOllama || plan.target == ExportTarget::kLlamaServer;
  if (!is_known || has_quant != plan.quant.has_value()) {
    throw Error(ErrorKind::kExport, "the manifest names the target \"" + manifest.target +
                                        "\" with the quant \"" + manifest.quant +
                                        "\", which this program does not write");
  }
  plan.merged = manifest.merged;
  plan.dequantize = manifest.dequantized;
  const Json* proved_template = provenance.find("template");
  plan.has_template = proved_template != nullptr && !proved_template->is_null();
  const Json* mix = provenance.find("mix");
  for (const Json& adapter : provenance.at("adapters").items()) {
    const Json& name = adapter.at("name");
    const std::string known = name.is_null() ? "" : name.as_string();
    if (mix != nullptr) {
      plan.mix.push_back({known, adapter.at("weight").as_double()});
    } else {
      plan.adapters.push_back(known);
    }
    exported.versions.push_back(
        {known, adapter.at("version").as_int(), adapter.at("sha256").as_string()});
  }
  if (mix != nullptr && mix->at("method").as_string() == "svd") plan.mix_method = MixMethod::kSvd;
  return exported;
}

Exported read_provenance(const ExportManifest& manifest, const fs::path& path) {
  const Json json = parse_json(read_file(path), path.string());
  try {
    return read_provenance(manifest, json);
  } catch (const Error& e) {
    throw Error(ErrorKind::kExport, e.message(), "export it again", {path.string(), 0, 0});
  }
}

// The store's folder, when the export lies where stores have exports and one is there.
std::optional<fs::path> store_of(const fs::path& folder) {
  const fs::path exports = fs::weakly_canonical(folder).parent_path();
  if (exports.filename() != "exports") return std::nullopt;
  if (!StoreLayout::at(exports.parent_path()).is_initialized()) return std::nullopt;
  return exports.parent_path();
}

class Repetition {
 public:
  Repetition(const CheckRequest& request, CheckResult& result, Exported exported,
             const fs::path& root, const ExportEvents& events)
      : request_(request),
        result_(result),
        plan_(std::move(exported.plan)),
        store_(StoreLayout::at(root)),
        versions_(find_versions(exported.versions)),
        inputs_(read_inputs(
            request.document.empty() ? versions_.front() / kDocumentFile : request.document, store_,
            request.home, plan_, request.bases,
            [&](const std::string& text) {
              if (events.on_warning) events.on_warning(text);
            })),
        device_(request.num_threads) {
    for (size_t i = 0; i < versions_.size(); ++i) inputs_.adapters.at(i).folder = versions_[i];
    adapter_ = versions_.front();
    if (!plan_.mix.empty()) {
      adapter_ = mix_into_cache(inputs_, plan_.mix_method, "_check_merged").first;
    }
    const fs::path stated = request_.folder / kExportProofFile;
    if (path_exists(stated)) stated_ = parse_json(read_file(stated), stated.string());
  }

  void run() {
    if (plan_.is_gguf()) {
      prove_gguf_files();
    } else {
      prove_folder_files();
    }
    if (!plan_.mix.empty()) remove_path(adapter_);
    for (const ProofResult& proof : result_.proofs) {
      for (const std::string& fault : proof.faults()) {
        result_.faults.push_back(proof.module.empty() ? fault : proof.module + ": " + fault);
      }
    }
  }

 private:
  // The versions that were exported, which need not be the current ones.
  std::vector<fs::path> find_versions(const std::vector<Exported::Version>& exported) const {
    std::vector<fs::path> versions;
    for (const Exported::Version& v : exported) {
      const fs::path version = store_.versions(v.adapter) / version_name(v.number);
      const fs::path weights = version / kAdapterWeightsFile;
      if (!path_exists(weights) || sha256_file_hex(weights) != v.sha256) {
        throw Error(ErrorKind::kExport, "the store no longer has the adapter that was exported",
                    "export the present one, or reproduce that version with `dlm reproduce`",
                    {version.string(), 0, 0});
      }
      versions.push_back(version);
    }
    return versions;
  }

  ProofLimits limits(const std::string& module, const ProofLimits& own) const {
    ProofLimits limits = own;
    if (stated_) limits = stated_limits(*stated_, module).value_or(own);
    if (request_.max_kl) limits.max_kl = *request_.max_kl;
    if (request_.min_agreement) limits.min_agreement = *request_.min_agreement;
    return limits;
  }

  void add(std::optional<TemplateParity> parity, bool texts_alone) {
    if (!parity) return;
    for (const std::string& fault : parity->faults(texts_alone)) result_.faults.push_back(fault);
    result_.templates.push_back(std::move(*parity));
  }

  void prove_gguf_files() {
    const std::string model =
        (plan_.merged ? "merged." : "base.") + std::string(quant_name(*plan_.quant)) + ".gguf";
    TrainedModel trained = load_trained(inputs_, adapter_, device_);
    const ProofLimits held_to =
        limits("", gguf_limits(*plan_.quant, trained_base_of(versions_.front())));
    const GgufExport e{inputs_, plan_, adapter_, request_.folder, {}, held_to};
    const ExportedGguf exported(request_.folder / model,
                                plan_.merged ? fs::path() : request_.folder / kAdapterFile);
    result_.proofs = {prove_gguf(e, trained, exported, device_)};
    const ChatFormat& base = *inputs_.prepared.format;
    const fs::path jinja = request_.folder / kChatTemplateFile;
    if (path_exists(jinja)) add(gguf_template_parity(base, request_.folder / model, jinja), true);
    add(gguf_template_parity(base, request_.folder / model), true);
    if (plan_.target == ExportTarget::kOllama) check_modelfile(e, model);
  }

  void check_modelfile(const GgufExport& e, const std::string& model) {
    const fs::path path = request_.folder / kModelfile;
    if (!path_exists(path)) {
      result_.faults.push_back("there is no Modelfile");
      return;
    }
    for (const std::string& fault : modelfile_faults(e, model, read_file(path))) {
      result_.faults.push_back(fault);
    }
  }

  void prove_folder_files() {
    FolderProofRequest proof{
        inputs_,
        plan_.target,
        request_.folder,
        {},
        [&](const std::string& module, const ProofLimits& own) { return limits(module, own); }};
    if (!plan_.mix.empty()) proof.modules.push_back({"mixed", adapter_});
    for (size_t i = 0; i < plan_.adapters.size(); ++i) {
      const std::string& name = plan_.adapters[i];
      proof.modules.push_back({name.empty() ? "adapter" : name, versions_[i]});
    }
    result_.proofs = prove_folder(proof, device_);
    if (const auto at = template_folder(plan_.target, request_.folder)) {
      add(folder_template_parity(*inputs_.prepared.format, *at), false);
    }
  }

  const CheckRequest& request_;
  CheckResult& result_;
  ExportPlan plan_;
  StoreLayout store_;
  std::vector<fs::path> versions_;
  ExportInputs inputs_;
  fs::path adapter_;  // the first one's, or the mix
  Device device_;
  std::optional<Json> stated_;
};

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
  if (!result.faults.empty()) {
    result.no_proof_reason = "the files are not as they were written";
    return result;
  }
  const auto root = store_of(request.folder);
  const fs::path provenance_path = request.folder / kExportProvenanceFile;
  if (!root) {
    result.no_proof_reason = "the folder does not lie in a store";
  } else if (!path_exists(provenance_path)) {
    result.no_proof_reason = "there is no export_provenance.json";
  } else {
    Exported exported = read_provenance(result.manifest, provenance_path);
    if (exported.versions.empty()) {
      result.no_proof_reason = "export_provenance.json names no adapter";
    } else {
      Repetition(request, result, std::move(exported), *root, events).run();
    }
  }
  return result;
}

}  // namespace dlm
