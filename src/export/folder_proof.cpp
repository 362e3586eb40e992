#include "export/folder_proof.h"

#include "export/export_fault.h"
#include "export/exported_hf.h"
#include "export/exported_mlx.h"
#include "infer/session.h"
#include "model/gguf_vocabulary.h"
#include "support/text.h"

namespace dlm {

namespace {

TrainedModel load(const ExportInputs& inputs, const fs::path& adapter, const BaseFormat& format,
                  Device& device) {
  TrainedModel trained;
  trained.decoder = Decoder::load_to_answer(inputs.prepared.base.folder, adapter,
                                            device.preferred_dtype(), format, device);
  trained.adapter = LoraAdapter::load(adapter, *trained.decoder);
  return trained;
}

std::unique_ptr<ExportedModel> exported_model(const FolderProofRequest& r,
                                              const std::string& module) {
  const fs::path& base = r.inputs.prepared.base.folder;
  if (r.target == ExportTarget::kHf) return std::make_unique<ExportedHf>(r.folder);
  if (r.target == ExportTarget::kVllm) {
    return std::make_unique<ExportedVllm>(r.folder, module, base);
  }
  return std::make_unique<ExportedMlx>(r.folder, module, base);
}

}  // namespace

ProofRequest proof_request(const ExportInputs& inputs, TrainedModel& trained) {
  const Prepared& p = inputs.prepared;
  ProofRequest request;
  request.decoder = trained.decoder.get();
  request.adapter = trained.adapter.get();
  request.format = p.format.get();
  request.rows = token_rows(p);
  for (const DocumentRow& row : p.rows.rows) {
    if (static_cast<int64_t>(request.questions.size()) >= request.max_questions) break;
    if (row.kind == RowKind::kChat) {
      request.questions.push_back({std::string(row.question()), std::string(row.answer())});
    }
  }
  request.system_prompt = p.document.frontmatter.system_prompt;
  return request;
}

std::vector<ProofResult> prove_folder(const FolderProofRequest& r, Device& device) {
  std::vector<ProofResult> results;
  for (size_t i = 0; i < r.modules.size(); ++i) {
    const ServedModule& module = r.modules[i];
    // A mix is no run of its own: its first part says what it was trained on.
    const BaseFormat format = trained_base_of(r.inputs.adapters.at(i).folder);
    TrainedModel trained = load(r.inputs, module.adapter, format, device);
    const std::unique_ptr<ExportedModel> exported = exported_model(r, module.name);
    const bool is_merged = r.target == ExportTarget::kHf;
    const std::string label = r.modules.size() > 1 ? module.name : "";
    ProofRequest request = proof_request(r.inputs, trained);
    request.exported = exported.get();
    request.limits = r.limits(label, is_merged ? merged_limits(format) : adapter_limits(format));
    ProofResult result = prove_export(request, device);
    result.module = label;
    if (is_merged) {
      const auto beside = LoraAdapter::load(r.folder / "adapter", *trained.decoder);
      result.adapter_difference = adapter_difference(*trained.adapter, *beside);
      for (ProvedFile& file :
           proved_files(r.folder, {std::string("adapter/") + kAdapterConfigFile,
                                   std::string("adapter/") + kAdapterWeightsFile})) {
        result.files.push_back(std::move(file));
      }
    }
    results.push_back(std::move(result));
  }
  return results;
}

std::optional<fs::path> template_folder(ExportTarget target, const fs::path& folder) {
  if (target == ExportTarget::kHf) return folder;
  if (path_exists(folder / "base")) return folder / "base";
  return std::nullopt;
}

std::optional<TemplateParity> folder_template_parity(const ChatFormat& base,
                                                     const fs::path& folder) {
  if (!has_any_template(base)) return std::nullopt;
  const bool is_apart = path_exists(folder / "chat_template.jinja");
  return compare_templates(base, ChatFormat::load(folder), false,
                           is_apart ? "chat_template.jinja" : "tokenizer_config.json");
}

std::optional<TemplateParity> gguf_template_parity(const ChatFormat& base, const fs::path& gguf,
                                                   const fs::path& jinja) {
  if (!has_any_template(base)) return std::nullopt;
  Vocabulary vocabulary = gguf_vocabulary(GgufFile::open(gguf));
  if (!jinja.empty()) vocabulary.chat_template = read_file(jinja);
  const fs::path& source = jinja.empty() ? gguf : jinja;
  return compare_templates(base, ChatFormat::from_vocabulary(vocabulary, source),
                           vocabulary.puts_bos(), source.filename().string());
}

void require_proofs(const std::vector<ProofResult>& proofs) {
  std::vector<std::string> all;
  for (const ProofResult& proof : proofs) {
    for (const std::string& fault : proof.faults()) {
      all.push_back(proof.module.empty() ? fault : proof.module + ": " + fault);
    }
  }
  if (all.empty()) return;
  const bool is_quantized = proofs.front().quant.has_value();
  throw ExportFault("proof", join(all, "; "),
                    std::string("nothing was kept; ") +
                        (is_quantized ? "take a larger --quant, or " : "") +
                        "allow more with --max-kl and --min-agreement");
}

void require_template(const TemplateParity& parity, bool texts_alone) {
  const std::vector<std::string> found = parity.faults(texts_alone);
  if (found.empty()) return;
  throw ExportFault("template", found.front(),
                    "nothing was kept; please report it, with the base's name");
}

}  // namespace dlm
