#include "export/probe_cache.h"

#include <algorithm>

#include "support/hash.h"
#include "support/version.h"

namespace dlm {
namespace {

// Raised whenever the probes change.
constexpr int kProbesVersion = 1;
constexpr size_t kMostReports = 64;
constexpr size_t kMostBytes = size_t{4} << 20;
// Headers of real checkpoints stay below a few MB.
constexpr uint64_t kMostHeaderBytes = uint64_t{100} << 20;

fs::path path_of(const fs::path& home) {
  return home / "probes.json";
}

// The header of a safetensors file with its length before it.
std::string header_of(const fs::path& path, uint64_t& file_bytes) {
  const ReadFile file(path);
  file_bytes = file.size();
  const std::string length = file.read_at(0, 8);
  uint64_t size = 0;
  for (size_t i = 8; i-- > 0;) size = size << 8 | static_cast<unsigned char>(length[i]);
  if (size > kMostHeaderBytes || size > file_bytes - 8) {
    throw Error(ErrorKind::kFormat, "the header is longer than the file", "", {path.string()});
  }
  return length + file.read_at(8, static_cast<size_t>(size));
}

std::vector<fs::path> weight_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Reports in the order in which they were kept; none of a file that is not understood.
std::vector<Json> read_reports(const fs::path& home) {
  try {
    const fs::path path = path_of(home);
    if (!path_exists(path)) return {};
    const Json json = parse_json(read_file(path, kMostBytes), path.string());
    const Json* list = json.find("reports");
    return list != nullptr && list->is_array() ? list->items() : std::vector<Json>{};
  } catch (const Error&) {
    return {};
  }
}

bool is_text(const Json& json, const char* key, const std::string& text) {
  const Json* value = json.find(key);
  return value != nullptr && value->is_string() && value->as_string() == text;
}

// Throws Error(kFormat).
Probe probe_of(const Json& json) {
  Probe probe;
  probe.name = json.at("name").as_string();
  const std::string& word = json.at("state").as_string();
  for (const ProbeState state :
       {ProbeState::kPassed, ProbeState::kWarned, ProbeState::kFailed, ProbeState::kSkipped}) {
    if (word == probe_state_word(state)) probe.state = state;
  }
  probe.detail = json.at("detail").as_string();
  if (json.at("remedy").is_string()) probe.remedy = json.at("remedy").as_string();
  probe.is_about_export = json.at("about_export").as_bool();
  return probe;
}

}  // namespace

std::string probe_key(const ProbedBase& base, const std::string& name, bool skips_exports) {
  Sha256 hash;
  const auto add = [&](std::string_view text) {
    hash.update(std::to_string(text.size()) + " ");
    hash.update(text);
  };
  try {
    add(kVersion);
    add(std::to_string(kProbesVersion));
    add(name);
    add(base.folder.string());  // details name it
    add(skips_exports ? "without exports" : "with exports");
    if (base.info != nullptr) {
      add(base.info->architecture);
      add(base.info->pre_tokenizer);
      add(base.info->is_redistributable ? "may be passed on" : "may not be passed on");
    }
    for (const char* file :
         {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
          "generation_config.json", "model.safetensors.index.json"}) {
      const fs::path path = base.folder / file;
      add(file);
      add(path_exists(path) ? sha256_file_hex(path) : "absent");
    }
    for (const fs::path& path : weight_files(base.folder)) {
      uint64_t file_bytes = 0;
      const std::string header = header_of(path, file_bytes);
      add(path.filename().string());
      add(std::to_string(file_bytes));
      add(header);
    }
  } catch (const Error&) {
    return {};
  }
  return hash.hex();
}

std::optional<std::vector<Probe>> kept_probes(const fs::path& home, const std::string& key) {
  for (const Json& report : read_reports(home)) {
    if (!is_text(report, "key", key)) continue;
    try {
      std::vector<Probe> probes;
      for (const Json& probe : report.at("probes").items()) probes.push_back(probe_of(probe));
      return probes;
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

void keep_probe_report(const fs::path& home, const ProbeReport& report) {
  if (report.is_kept || report.files_key.empty() || !report.faults().empty()) return;
  // A base has one report, with exports or without; the newest stands last.
  std::vector<Json> reports = read_reports(home);
  std::erase_if(reports, [&](const Json& one) {
    return is_text(one, "base", report.base) && is_text(one, "folder", report.folder.string());
  });
  while (reports.size() >= kMostReports) reports.erase(reports.begin());
  reports.push_back(Json::object({{"key", Json(report.files_key)},
                                  {"base", Json(report.base)},
                                  {"folder", Json(report.folder.string())},
                                  {"probes", probes_json(report.probes)}}));
  Json json = Json::object();
  json.set("reports", Json::array(std::move(reports)));
  try {
    make_folders(home);
    write_file_atomic(path_of(home), json.dump(2) + "\n");
  } catch (const Error&) {
    // The next run probes again.
  }
}

}  // namespace dlm
