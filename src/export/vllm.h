// The export for vLLM: adapters as it loads them, a script that starts it, and its settings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "export/adapter_folder.h"
#include "support/file.h"

namespace dlm {

struct ServedModule {
  std::string name;  // "adapter", a document's name for it, or "mixed"
  fs::path adapter;  // PEFT folder
  int64_t version = 1;
};

struct ServedBase {
  fs::path folder;
  std::string name;      // for people: no path of this machine
  std::string hf_id;     // "": not on the hub, so its files come along
  std::string revision;  // of the hub
};

struct VllmExport {
  ServedBase base;
  std::string served_name;
  int64_t max_model_len = 0;
  std::vector<ServedModule> modules;
};

// Throws Error(kExport) naming what vLLM cannot serve: DoRA, modules that were trained whole.
void write_vllm_export(const VllmExport& request, const fs::path& out);
inline constexpr const char* kVllmScript = "vllm_launch.sh";
inline constexpr const char* kVllmConfig = "vllm_config.json";

// The least rank that vLLM offers as its limit; it knows some powers and sums of two only.
int64_t vllm_rank_limit(int64_t rank);

}  // namespace dlm
