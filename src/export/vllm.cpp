#include "export/vllm.h"

#include <algorithm>

#include "export/hf_model.h"
#include "export/launch_script.h"
#include "formats/safetensors.h"
#include "model/peft_config.h"
#include "store/store_layout.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr int64_t kRankLimits[] = {1, 8, 16, 32, 64, 128, 256, 320, 512};

// Copies the two files of a plain adapter; one with patterns becomes plain. Returns its rank.
int64_t write_module(const ModelConfig& config, const std::string& base, const ServedModule& module,
                     const fs::path& out) {
  const LoraOptions options = read_peft_config(module.adapter / kAdapterConfigFile);
  if (options.use_dora || !options.modules_to_save.empty()) {
    throw Error(ErrorKind::kExport,
                options.use_dora ? "vLLM serves no DoRA adapters"
                                 : "vLLM serves no modules that were trained whole",
                "export with --target hf and serve the merged folder", {module.adapter.string()});
  }
  if (options.rank_pattern.empty() && options.alpha_pattern.empty()) {
    copy_adapter(module.adapter, out, base);
    return options.rank;
  }
  return write_mixed_adapter(config, {{module.adapter, module.name, 1.0}}, MixMethod::kConcatenate,
                             base, out)
      .rank;
}

Json config_json(const VllmExport& e, int64_t max_rank) {
  Json modules = Json::array();
  for (const ServedModule& m : e.modules) {
    Json one = Json::object();
    one.set("adapter_version", m.version);
    one.set("name", m.name);
    one.set("path", "adapters/" + m.name);
    modules.push_back(std::move(one));
  }
  Json json = Json::object();
  json.set("dtype", "auto");
  json.set("environment", Json::object());
  json.set("host", "127.0.0.1");
  json.set("lora_modules", std::move(modules));
  json.set("max_lora_rank", max_rank);
  json.set("max_model_len", e.max_model_len);
  json.set("model", e.base.hf_id.empty() ? Json("base") : Json(e.base.hf_id));
  json.set("port", 8000);
  json.set("revision", e.base.hf_id.empty() ? Json() : Json(e.base.revision));
  json.set("served_model_name", e.served_name);
  json.set("target", "vllm");
  return json;
}

}  // namespace

int64_t vllm_rank_limit(int64_t rank) {
  for (const int64_t limit : kRankLimits) {
    if (rank <= limit) return limit;
  }
  throw Error(ErrorKind::kExport,
              "vLLM serves adapters up to rank 512, and this one has " + std::to_string(rank),
              "export with --target hf, or cut a mix with --adapter-mix-method svd");
}

void write_vllm_export(const VllmExport& e, const fs::path& out) {
  const ModelConfig config = load_model_config(e.base.folder);
  int64_t rank = 1;
  for (const ServedModule& m : e.modules) {
    rank = std::max(rank, write_module(config, e.base.name, m, out / "adapters" / m.name));
  }
  const int64_t limit = vllm_rank_limit(rank);
  std::vector<LaunchWord> words = {{"vllm", ""}, {"serve", ""}};
  if (e.base.hf_id.empty()) {
    make_folders(out / "base");
    copy_base(e.base.folder, out / "base");
    words.push_back({"", "base"});
  } else {
    words.push_back({e.base.hf_id, ""});
    words.push_back({"--revision", ""});
    words.push_back({e.base.revision, ""});
  }
  for (const char* word :
       {"--host", "127.0.0.1", "--port", "8000", "--dtype", "auto", "--served-model-name"}) {
    words.push_back({word, ""});
  }
  words.push_back({e.served_name, ""});
  if (e.max_model_len > 0) {
    words.push_back({"--max-model-len", ""});
    words.push_back({std::to_string(e.max_model_len), ""});
  }
  for (const std::string& word : {std::string("--enable-lora"), std::string("--max-lora-rank"),
                                  std::to_string(limit), std::string("--lora-modules")}) {
    words.push_back({word, ""});
  }
  for (const ServedModule& m : e.modules) words.push_back({m.name + "=", "adapters/" + m.name});
  write_script(out / kVllmScript, launch_script("Serves the model with vLLM; ask for the model \"" +
                                                    e.modules.front().name + "\".",
                                                words));
  write_file_atomic(out / kVllmConfig, config_json(e, limit).dump(2) + "\n");
}

}  // namespace dlm
