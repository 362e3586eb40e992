#include "export/run.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <memory>
#include <tuple>

#include "export/export_fault.h"
#include "export/gguf_export.h"
#include "export/hf_model.h"
#include "export/launch_script.h"
#include "export/mlx.h"
#include "export/runtime_smoke.h"
#include "export/staging.h"
#include "store/manifest.h"
#include "support/hash.h"
#include "support/interrupt.h"
#include "support/process.h"
#include "support/progress.h"
#include "support/text.h"
#include "support/version.h"

namespace dlm {

namespace {

// Weights converted in a second by one core, from measurements; for what is said beforehand.
constexpr double kWeightsPerSecond = 60e6;

class Export {
 public:
  Export(const ExportRequest& request, const ExportEvents& events, const Document& document)
      : request_(request),
        events_(events),
        plan_(plan_export(request.flags, document.frontmatter)),
        store_(request.home, document.frontmatter.dlm_id),
        inputs_(read_inputs(request.document, store_, request.home, plan_, request.bases,
                            [&](const std::string& text) { warn(text); })),
        device_(request.num_threads) {}

  ExportResult run() {
    const int64_t started = request_.clock->monotonic_ns();
    if (!plan_.ignored.empty()) {
      warn(std::string(plan_.target_name()) + " has no use for " + join(plan_.ignored, ", "));
    }
    check_inputs(inputs_, plan_);
    if (plan_.registers) ollama_ = find_ollama(events_.on_command);
    if (ollama_ && !plan_.merged) require_adapters(*ollama_);
    const StoreLock lock = StoreLock::acquire(store_, *request_.clock);
    StagedExport staged(store_, plan_.folder, lock);
    if (!plan_.mix.empty()) check_disk(store_.root(), plan_, adapter_bytes());
    mix_adapters();
    announce(staged.folder());
    write_files(staged.folder());
    check_interrupted();
    start_once(staged.folder());
    write_provenance(staged.folder());
    result_.manifest = manifest_of(staged.folder());
    write_file_atomic(staged.folder() / kExportManifestFile,
                      export_manifest_text(result_.manifest));
    staged.publish();
    record(lock);
    result_.plan = plan_;
    result_.folder = staged.target();
    result_.seconds = static_cast<double>(request_.clock->monotonic_ns() - started) * 1e-9;
    return std::move(result_);
  }

 private:
  void note(const std::string& text) const {
    if (events_.on_note) events_.on_note(text);
  }
  void warn(const std::string& text) const {
    if (events_.on_warning) events_.on_warning(text);
  }
  const Prepared& prepared() const { return inputs_.prepared; }

  // The adapter's folder; of a mix one in the store's cache, which may be deleted at any time.
  void mix_adapters() {
    adapter_ = inputs_.adapters.front().folder;
    if (plan_.mix.empty()) return;
    std::tie(adapter_, result_.mix) = mix_into_cache(inputs_, plan_.mix_method, "_export_merged");
    note("mix: " + std::to_string(inputs_.adapters.size()) + " adapters as one of rank " +
         std::to_string(result_.mix->rank) +
         (plan_.mix_method == MixMethod::kSvd
              ? ", cut with a relative error of " + Json(result_.mix->relative_error).dump()
              : ", the exact sum"));
  }

  ProofLimits limits(ProofLimits limits) const {
    if (request_.max_kl) limits.max_kl = *request_.max_kl;
    if (request_.min_agreement) limits.min_agreement = *request_.min_agreement;
    return limits;
  }

  GgufExport gguf(const fs::path& folder) const {
    const BaseFormat& trained_on = inputs_.adapters.front().trained_base;
    const std::string measured = plan_.merged ? "merged" + plan_.adapter_suffix() : "base";
    return {inputs_,
            plan_,
            adapter_,
            folder,
            store_.cache() / "imatrix" / measured,
            limits(gguf_limits(*plan_.quant, trained_on)),
            tokenizer_};
  }

  // Of all adapters together.
  uint64_t adapter_bytes() const {
    uint64_t bytes = 0;
    for (const ExportedAdapter& a : inputs_.adapters) {
      bytes += fs::file_size(a.folder / kAdapterWeightsFile);
    }
    return bytes;
  }

  // Says size and time, and refuses what does not fit.
  void announce(const fs::path& folder) {
    uint64_t bytes = uint64_t{16} << 20;
    if (plan_.is_gguf()) {
      const GgufExportOutline outline = outline_gguf_export(gguf(folder));
      bytes += outline.bytes;
      tokenizer_ = outline.tokenizer;
    }
    const bool copies_base =
        plan_.target == ExportTarget::kHf || inputs_.info == nullptr || inputs_.info->hf_id.empty();
    if (!plan_.is_gguf()) bytes += adapter_bytes();
    if (!plan_.is_gguf() && copies_base) bytes += hf_model_bytes(prepared().base.folder);
    check_disk(folder, plan_, bytes);
    const double weights = static_cast<double>(prepared().model_config.num_parameters());
    const double seconds = weights / (kWeightsPerSecond * device_.pool().num_threads());
    note("export: " + std::string(plan_.target_name()) + ", " + plan_.quant_name_or_hf() +
         (plan_.merged ? ", merged" : "") + ": about " + format_bytes(bytes) + ", " +
         format_duration(std::max(1.0, seconds)) + " and the proof");
  }

  ServedBase served_base() const {
    ServedBase base{prepared().base.folder, inputs_.base_id(), "", ""};
    if (inputs_.info != nullptr) {
      base.hf_id = std::string(inputs_.info->hf_id);
      base.revision = std::string(inputs_.info->revision);
    }
    return base;
  }

  std::vector<ServedModule> served_modules() const {
    if (!plan_.mix.empty()) return {{"mixed", adapter_, 1}};
    std::vector<ServedModule> modules;
    for (const ExportedAdapter& a : inputs_.adapters) {
      modules.push_back({a.name.empty() ? "adapter" : a.name, a.folder, a.version});
    }
    return modules;
  }

  std::string default_name() const {
    return "dlm-" + lower_ascii(prepared().document.frontmatter.dlm_id) + plan_.adapter_suffix();
  }

  // One for each of what a document can be exported as, so that none replaces another there.
  std::string default_ollama_name() const {
    std::string name = default_name() + ":" + version_name(inputs_.adapter_version());
    const auto usual = prepared().document.frontmatter.export_config.default_quant;
    const std::string quant(quant_name(*plan_.quant));
    if (quant != word_of(kQuantNameWords, usual)) name += "-" + lower_ascii(quant);
    return plan_.merged ? name : name + "-adapter";
  }

  void write_files(const fs::path& folder) {
    switch (plan_.target) {
      case ExportTarget::kOllama:
      case ExportTarget::kLlamaServer:
        gguf_ = write_gguf_export(gguf(folder), device_, events_);
        result_.proofs = {gguf_->proof};
        result_.parity = gguf_->parity;
        result_.file_parity = gguf_->file_parity;
        no_template_reason_ = gguf_->no_template_reason;
        break;
      case ExportTarget::kVllm: {
        VllmExport e{served_base(), plan_.name.value_or(default_name()), 0, served_modules()};
        e.max_model_len = std::min(prepared().document.frontmatter.training.sequence_len,
                                   prepared().model_config.max_positions);
        write_vllm_export(e, folder);
        break;
      }
      case ExportTarget::kMlxServe:
        write_mlx_export({served_base(), served_modules().front()}, folder);
        break;
      case ExportTarget::kHf:
        write_hf_model(prepared().base.folder, adapter_, folder, device_,
                       [&](uint64_t done, uint64_t all) {
                         if (events_.on_progress) events_.on_progress("write", done, all);
                       });
        copy_adapter(adapter_, folder / "adapter", inputs_.base_id());
        break;
    }
    if (!plan_.is_gguf()) prove_files(folder);
  }

  void prove_files(const fs::path& folder) {
    note("proof: comparing the files with the trained model");
    const std::vector<ServedModule> all = served_modules();
    FolderProofRequest proof{
        inputs_, plan_.target, folder, all,
        [&](const std::string&, const ProofLimits& own) { return limits(own); }};
    if (plan_.target != ExportTarget::kVllm) proof.modules.resize(1);
    if (const auto at = template_folder(plan_.target, folder)) {
      result_.parity = folder_template_parity(*prepared().format, *at);
      if (!result_.parity) no_template_reason_ = "the base has none";
    } else {
      no_template_reason_ = "the server reads the template of the base on the hub";
    }
    if (result_.parity) require_template(*result_.parity, false);
    result_.proofs = prove_folder(proof, device_);
    require_proofs(result_.proofs);
    write_file_atomic(folder / kExportProofFile, proofs_json(result_.proofs).dump(2) + "\n");
  }

  // Hands the files to the program that runs them, where it is installed.
  void start_once(const fs::path& folder) {
    if (plan_.target == ExportTarget::kOllama) {
      const std::string name = plan_.name.value_or(default_ollama_name());
      if (!ollama_) {
        result_.next_step =
            plan_.registers
                ? "ollama is not on the PATH; where it is, run in the folder: "
                  "ollama create " +
                      name + " -f Modelfile"
                : "to register, run in the folder: ollama create " + name + " -f Modelfile";
        return;
      }
      if (plan_.smokes) {
        result_.smoke_line = create_proved_model(*ollama_, name, folder, events_.on_command);
      } else {
        create_ollama_model(*ollama_, name, folder, events_.on_command);
      }
      result_.ollama_version = ollama_->version;
      ollama_name_ = name;
      return;
    }
    const std::string script = plan_.target == ExportTarget::kLlamaServer ? kLlamaServerScript
                               : plan_.target == ExportTarget::kVllm      ? kVllmScript
                               : plan_.target == ExportTarget::kMlxServe  ? kMlxScript
                                                                          : "";
    result_.next_step = script.empty() ? "load the folder with transformers; adapter/ is for PEFT"
                                       : "start it with " + script + " in the folder";
    if (plan_.target == ExportTarget::kVllm) {
      result_.next_step += ", and ask for the model \"" + served_modules().front().name + "\"";
    }
    if (plan_.target == ExportTarget::kLlamaServer && plan_.smokes &&
        find_program("llama-server")) {
      result_.smoke_line = smoke_server({(folder / script).string()}, folder, events_.on_command);
    }
  }

  Json adapters_json() const {
    Json list = Json::array();
    for (const ExportedAdapter& a : inputs_.adapters) {
      Json one = Json::object();
      one.set("name", a.name.empty() ? Json() : Json(a.name));
      one.set("version", a.version);
      one.set("weight", a.weight);
      one.set("sha256", sha256_file_hex(a.folder / kAdapterWeightsFile));
      one.set("config_sha256", sha256_file_hex(a.folder / kAdapterConfigFile));
      one.set("trained_base", std::string(trained_base_word(a.trained_base)));
      list.push_back(std::move(one));
    }
    return list;
  }

  void write_provenance(const fs::path& folder) const {
    Json base = Json::object();
    base.set("id", inputs_.base_id());
    base.set("revision", inputs_.base_revision());
    base.set("weights_sha256", inputs_.base_digest);
    Json json = Json::object();
    json.set("schema_version", 1);
    json.set("writer", std::string("dlm-") + kVersion);
    json.set("form", plan_.merged ? "merged" : "adapter");
    json.set("base", std::move(base));
    json.set("adapters", adapters_json());
    if (result_.mix) {
      Json mix = Json::object();
      mix.set("method", plan_.mix_method == MixMethod::kSvd ? "svd" : "linear");
      mix.set("rank", result_.mix->rank);
      mix.set("relative_error", result_.mix->relative_error);
      mix.set("largest_error", result_.mix->largest_error);
      json.set("mix", std::move(mix));
    }
    if (gguf_) {
      Json importance;
      if (gguf_->importance) {
        importance = Json::object({{"sha256", gguf_->importance->sha256},
                                   {"tokens", gguf_->importance->num_tokens},
                                   {"chunks", gguf_->importance->imatrix.chunk_count}});
      }
      json.set("imatrix", std::move(importance));
    }
    json.set("template", result_.parity ? result_.parity->to_json() : Json());
    if (!no_template_reason_.empty()) json.set("no_template_reason", no_template_reason_);
    if (result_.file_parity) json.set("template_in_model", result_.file_parity->to_json());
    Json proofs = Json::array();
    for (const ProofResult& one : result_.proofs) {
      Json proof = Json::object();
      if (!one.module.empty()) proof.set("module", one.module);
      proof.set("agreement", one.agreement);
      proof.set("mean_kl", one.mean_kl);
      proof.set("tokens", one.tokens);
      proofs.push_back(std::move(proof));
    }
    if (result_.proofs.size() == 1) {
      json.set("proof", proofs.items().front());
    } else {
      json.set("proofs", std::move(proofs));
    }
    write_file_atomic(folder / kExportProvenanceFile, json.dump(2) + "\n");
  }

  ExportManifest manifest_of(const fs::path& folder) const {
    ExportManifest m;
    m.target = plan_.target_name();
    m.quant = plan_.quant_name_or_hf();
    m.merged = plan_.merged;
    m.dequantized = plan_.dequantize;
    m.ollama_name = ollama_name_;
    m.created_at = format_utc(export_time(*request_.clock));
    m.created_by = std::string("dlm-") + kVersion;
    m.base_model_hf_id = inputs_.base_id();
    m.base_model_revision = inputs_.base_revision();
    m.adapter_version = inputs_.adapter_version();
    std::map<std::string, std::string> proved;
    for (const ProofResult& proof : result_.proofs) {
      for (const ProvedFile& file : proof.files) proved[file.path] = file.sha256;
    }
    m.artifacts = list_artifacts(folder, proved);
    return m;
  }

  void record(const StoreLock& lock) const {
    ExportRecord row;
    row.exported_at = result_.manifest.created_at;
    row.target = plan_.target_name();
    row.quant = plan_.quant_name_or_hf();
    row.merged = plan_.merged;
    row.ollama_name = ollama_name_;
    row.ollama_version = result_.ollama_version;
    if (gguf_) {
      row.base_gguf_sha256 = gguf_->model_sha256;
      if (!gguf_->adapter_sha256.empty()) row.adapter_gguf_sha256 = gguf_->adapter_sha256;
    }
    row.smoke_output_first_line = result_.smoke_line;
    row.adapter_name = plan_.adapter_name();
    if (!plan_.mix.empty()) {
      row.adapter_mix.emplace();
      for (const MixPart& part : plan_.mix)
        row.adapter_mix->emplace_back(part.adapter, part.weight);
    }
    Manifest manifest = read_manifest(store_);
    manifest.exports.push_back(std::move(row));
    manifest.updated_at = format_utc(request_.clock->unix_seconds());
    write_manifest(store_, manifest, lock);
  }

  const ExportRequest& request_;
  const ExportEvents& events_;
  ExportPlan plan_;
  StoreLayout store_;
  ExportInputs inputs_;
  Device device_;
  fs::path adapter_;
  std::optional<OllamaProgram> ollama_;
  std::optional<std::string> ollama_name_;
  std::shared_ptr<const GgufTokenizer> tokenizer_;
  std::optional<GgufExportReport> gguf_;
  std::string no_template_reason_;
  ExportResult result_;
};

}  // namespace

int64_t export_time(const Clock& clock) {
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr) return clock.unix_seconds();
  const std::string_view text(epoch);
  int64_t seconds = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || seconds < 0) {
    throw Error(ErrorKind::kUsage, "SOURCE_DATE_EPOCH is no number of seconds since 1970",
                "set it to one, or unset it");
  }
  return seconds;
}

ExportResult run_export(const ExportRequest& request, const ExportEvents& events) {
  export_time(*request.clock);  // wrong use is told before work
  return Export(request, events, load_document(request.document)).run();
}

}  // namespace dlm
