#include "export/inputs.h"

#include <algorithm>

#include "bases/registry.h"
#include "export/export_fault.h"
#include "export/modelfile.h"
#include "infer/session.h"
#include "model/peft_config.h"
#include "store/adapter_versions.h"
#include "store/manifest.h"
#include "support/hash.h"
#include "support/progress.h"
#include "train/replay.h"

namespace dlm {

namespace {

constexpr const char* kTrainHint = "run `dlm train` before exporting";

[[noreturn]] void fail(const std::string& probe, const std::string& what, const std::string& hint,
                       const fs::path& path = {}) {
  throw ExportFault("preflight[" + probe + "]", what, hint, {path.string(), 0, 0});
}

void refuse_media(const std::string& key, ExportTarget target) {
  const BaseInfo* media = find_media_base(key);
  if (media == nullptr) return;
  const bool is_misuse = target == ExportTarget::kVllm || target == ExportTarget::kMlxServe;
  throw Error(is_misuse ? ErrorKind::kUsage : ErrorKind::kExport,
              "base \"" + key + "\" is " + base_of(media->modality) +
                  ", and this version exports bases of text only",
              "choose a text base");
}

// Runs a check whose errors are those of a probe.
template <class Check>
void probe(const char* name, const Check& check) {
  try {
    check();
  } catch (const ExportFault&) {
    throw;
  } catch (const Error& e) {
    throw ExportFault("preflight[" + std::string(name) + "]", e.message(), e.hint(), e.place());
  }
}

void check_base_name(const ExportInputs& in, const ExportedAdapter& adapter) {
  const fs::path file = adapter.folder / kAdapterConfigFile;
  if (!path_exists(file))
    fail("adapter_config", "adapter_config.json is missing", kTrainHint, file);
  const std::string name = read_peft_config(file).base_name;
  const bool is_same = name.empty() || name == in.prepared.base.key ||
                       (in.info != nullptr && name == in.info->hf_id);
  if (is_same) return;
  // A path or a mirror's name says nothing; the name of another known base does.
  const auto& bases = known_bases();
  const bool is_other = std::any_of(bases.begin(), bases.end(), [&](const BaseInfo& b) {
    return b.key == name || (!b.hf_id.empty() && b.hf_id == name);
  });
  if (is_other) {
    fail("adapter_config",
         "the adapter was trained on \"" + name + "\", not on \"" + in.base_id() + "\"",
         "train the document again, or name that base in it", file);
  }
}

void check_tokenizer(const ExportInputs& in, const ExportedAdapter& adapter) {
  check_vocabulary(in.prepared.format->tokenizer(), in.prepared.model_config,
                   in.prepared.base.folder);
  const fs::path own = adapter.folder / "tokenizer.json";
  const fs::path base = in.prepared.base.folder / "tokenizer.json";
  if (path_exists(own) && sha256_file_hex(own) != sha256_file_hex(base)) {
    fail("tokenizer_vocab", "the adapter's tokenizer.json is not the base's",
         "export with the base that the adapter was trained on, or train again", own);
  }
}

// What a LoRA file beside the base cannot hold.
void check_adapter_form(const ExportInputs& in, const ExportPlan& plan) {
  if (!plan.is_gguf() || plan.merged || !plan.mix.empty()) return;
  const LoraOptions options = read_peft_config(in.adapters.front().folder / kAdapterConfigFile);
  if (options.use_dora || !options.modules_to_save.empty()) {
    fail("adapter_config",
         std::string("a GGUF adapter cannot hold ") +
             (options.use_dora ? "DoRA's magnitudes" : "modules that were trained whole"),
         "use --merged", in.adapters.front().folder);
  }
}

// What the target's files cannot hold.
void check_target_form(const ExportInputs& in, const ExportPlan& plan) {
  const bool is_tied = in.prepared.model_config.tie_word_embeddings;
  for (const ExportedAdapter& adapter : in.adapters) {
    const LoraOptions options = read_peft_config(adapter.folder / kAdapterConfigFile);
    const bool has_whole = !options.modules_to_save.empty();
    const char* way_out = has_whole && is_tied
                              ? "export to ollama or llama-server with --merged"
                              : "export with --target hf, and serve the merged folder";
    if (plan.target == ExportTarget::kVllm && options.use_dora) {
      fail("adapter_config", "vLLM serves no DoRA adapters", way_out, adapter.folder);
    }
    if (plan.target == ExportTarget::kVllm && has_whole) {
      fail("adapter_config", "vLLM serves no modules that were trained whole", way_out,
           adapter.folder);
    }
    if (plan.target == ExportTarget::kMlxServe && has_whole) {
      fail("adapter_config", "MLX adapters hold no modules that were trained whole", way_out,
           adapter.folder);
    }
    if (plan.target == ExportTarget::kHf && has_whole && is_tied) {
      fail("adapter_config",
           "the adapter trained embedding or head, and the base has one matrix for both", way_out,
           adapter.folder);
    }
  }
}

void check_merge(const ExportInputs& in, const ExportPlan& plan) {
  if (!plan.merged || plan.dequantize) return;
  for (const ExportedAdapter& adapter : in.adapters) {
    if (adapter.trained_base == BaseFormat{}) continue;
    throw ExportFault(
        "merge",
        (adapter.name.empty() ? std::string("the adapter") : "adapter \"" + adapter.name + "\"") +
            " was trained on weights of " +
            (adapter.trained_base.linear == QuantFormat::kInt8 ? "8 bits"
                                                               : "4 bits (adapter: qlora)") +
            ", and merging puts it on the full "
            "ones, which shifts the model",
        std::string("consent with --dequantize") +
            (plan.is_gguf() ? ", or keep the adapter apart: --adapter-form" : "") +
            "; the proof tells by how much");
  }
}

}  // namespace

std::string ExportInputs::base_id() const {
  if (info == nullptr) {
    const fs::path folder = prepared.base.folder.lexically_normal();  // it may end in a slash
    return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  }
  return std::string(info->hf_id.empty() ? info->key : info->hf_id);
}

std::string ExportInputs::base_revision() const {
  return info == nullptr || info->revision.empty() ? base_digest : std::string(info->revision);
}

int64_t ExportInputs::adapter_version() const {
  int64_t version = 1;
  for (const ExportedAdapter& adapter : adapters) version = std::max(version, adapter.version);
  return version;
}

std::vector<ExportedAdapter> find_adapters(const StoreLayout& store, const ExportPlan& plan,
                                           const std::string& document_path) {
  std::vector<ExportedAdapter> found;
  const auto add = [&](const std::string& name, double weight) {
    const auto folder = current_version(store, name);
    if (!folder) {
      throw Error(ErrorKind::kExport,
                  "there is no current adapter" + (name.empty() ? "" : " \"" + name + "\"") +
                      ": the document has not been trained",
                  "run `dlm train " + document_path + "` before exporting");
    }
    ExportedAdapter adapter;
    adapter.name = name;
    adapter.folder = *folder;
    adapter.version = std::max<int64_t>(1, current_version_number(store, name));
    adapter.weight = weight;
    probe("training_run_json", [&] { adapter.record = read_run_record(*folder); });
    adapter.trained_base = trained_base_of(*folder);
    found.push_back(std::move(adapter));
  };
  for (const std::string& name : plan.adapters) add(name, 1);
  for (const MixPart& part : plan.mix) add(part.adapter, part.weight);
  return found;
}

ExportInputs read_inputs(const fs::path& document, const StoreLayout& store, const fs::path& home,
                         const ExportPlan& plan, const BaseSearch& bases,
                         const std::function<void(const std::string&)>& on_warning) {
  std::vector<ExportedAdapter> adapters = find_adapters(store, plan, document.string());
  std::string base;
  if (adapters.front().record) {
    base = adapters.front().record->inputs.base;
  } else if (store.is_initialized()) {
    base = read_manifest(store).base_model;
  }
  if (!base.empty()) refuse_media(base, plan.target);
  PrepareOptions options;
  options.document = document;
  options.home = home;
  options.allows_secrets = true;  // they have been trained; the rows are only looked at
  std::optional<std::string> key;
  if (!base.empty()) key = base;
  ExportInputs in{store,
                  prepare_rows(
                      read_document(document), document.string(), key, bases,
                      [&](const Warning& w) { on_warning(w.message); }, options),
                  nullptr,
                  {},
                  std::move(adapters)};
  if (const auto& record = in.adapters.front().record; record) {
    // Rows of the history stand behind those of the document, as they were trained.
    try {
      replay_again(in.prepared, store, record->inputs.replayed, on_warning);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kTrain) throw;
      on_warning(error.message() + "; the export looks at the document's rows alone");
    }
  }
  in.info = find_base(in.prepared.base.key);
  for (const ExportedAdapter& adapter : in.adapters) {
    if (!adapter.record) continue;
    require_trained_base(*adapter.record, in.prepared.base.folder);
    in.base_digest = adapter.record->inputs.base_revision;
  }
  if (in.base_digest.empty()) in.base_digest = weights_digest(in.prepared.base.folder);
  return in;
}

std::pair<fs::path, MixReport> mix_into_cache(const ExportInputs& inputs, MixMethod method,
                                              const std::string& stem) {
  std::vector<WeightedAdapter> parts;
  std::string name = stem;
  for (const ExportedAdapter& a : inputs.adapters) {
    parts.push_back({a.folder, a.name, a.weight});
    name += "_" + a.name;
  }
  const fs::path folder = inputs.store.cache() / name;
  remove_path(folder);
  const MixReport report =
      write_mixed_adapter(inputs.prepared.model_config, parts, method, inputs.base_id(), folder);
  return {folder, report};
}

void check_inputs(const ExportInputs& in, const ExportPlan& plan) {
  for (const ExportedAdapter& adapter : in.adapters) {
    probe("adapter_config", [&] {
      check_base_name(in, adapter);
      load_adapter(in.prepared.model_config, adapter.folder);
    });
    probe("tokenizer_vocab", [&] { check_tokenizer(in, adapter); });
  }
  if (plan.has_template) {
    probe("chat_template", [&] { static_cast<void>(in.prepared.format->chat_template()); });
  }
  const auto& system = in.prepared.document.frontmatter.system_prompt;
  if (plan.target == ExportTarget::kOllama && system) {
    probe("system_prompt", [&] { check_modelfile_value(*system, "the system prompt"); });
  }
  check_target_form(in, plan);
  check_adapter_form(in, plan);
  check_merge(in, plan);
}

void check_disk(const fs::path& folder, const ExportPlan& plan, uint64_t needed) {
  const uint64_t free = free_disk_bytes(folder);
  if (needed <= free) return;
  fail("disk_space",
       "the export takes " + format_bytes(needed) + ", and " + format_bytes(free) + " are free",
       plan.is_gguf() ? "free some space, or take a smaller --quant" : "free some space", folder);
}

}  // namespace dlm
