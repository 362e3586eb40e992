// The files of the targets that run GGUF: model, adapter, Modelfile or launch script, and the proof
// of them.
#pragma once

#include "export/exported_gguf.h"
#include "export/folder_proof.h"
#include "export/gguf_tokenizer.h"
#include "export/importance.h"
#include "export/inputs.h"
#include "export/run.h"

namespace dlm {

struct GgufExport {
  const ExportInputs& inputs;
  const ExportPlan& plan;
  fs::path adapter;        // PEFT folder; of a mix the staged one
  fs::path folder;         // where the files go; exists
  fs::path imatrix_cache;  // where the importance measured last lies; may be absent
  ProofLimits limits;
  std::shared_ptr<const GgufTokenizer> tokenizer = {};  // of the outline; null: to read again
};

struct GgufExportReport {
  std::string model_file;    // in the folder
  std::string adapter_file;  // "" when merged
  std::string model_sha256;
  std::string adapter_sha256;
  std::optional<TemplateParity> parity;       // of the Modelfile, or of the file beside the script
  std::optional<TemplateParity> file_parity;  // of the template in the model's file
  std::string no_template_reason;             // why there is no parity
  std::optional<ImportanceReport> importance;
  ProofResult proof;
};

inline constexpr const char* kAdapterFile = "adapter.gguf";
inline constexpr const char* kModelfile = "Modelfile";
inline constexpr const char* kLlamaServerScript = "llama-server_launch.sh";
inline constexpr const char* kChatTemplateFile = "chat-template.jinja";

struct GgufExportOutline {
  uint64_t bytes = 0;  // of all files
  std::shared_ptr<const GgufTokenizer> tokenizer;
};
// Before anything is written.
GgufExportOutline outline_gguf_export(const GgufExport& e);

// Throws ExportFault("proof") when the file answers otherwise than the trained model.
GgufExportReport write_gguf_export(const GgufExport& e, Device& device, const ExportEvents& events);

// The trained model against files of that folder.
ProofResult prove_gguf(const GgufExport& e, TrainedModel& trained, const ExportedGguf& exported,
                       Device& device);

// Where a Modelfile is another than the one of that export: the files that it names, its template,
// its stops. In sentences; empty when it is not. Other commands are left to whoever edits it.
std::vector<std::string> modelfile_faults(const GgufExport& e, const std::string& model_file,
                                          const std::string& text);

// Sampling that the document or the base's template asks for.
double export_temperature(const Frontmatter& f, const std::string& dialect);
double export_top_p(const Frontmatter& f, const std::string& dialect);

}  // namespace dlm
