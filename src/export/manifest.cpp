#include "export/manifest.h"

#include <algorithm>

#include "support/error.h"
#include "support/hash.h"

namespace dlm {

namespace {

Json text_or_null(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json();
}

class ManifestReader {
 public:
  ManifestReader(const Json& json, const fs::path& path, std::vector<std::string_view> keys)
      : json_(json), path_(path) {
    if (!json.is_object()) fail("it is no object");
    for (const auto& [key, value] : json.members()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        fail("unknown key \"" + key + "\"");
    }
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kExport, "the export manifest is broken: " + what,
                "export the document again", {path_.string(), 0, 0});
  }
  const Json& at(const char* key) const {
    const Json* value = json_.find(key);
    if (value == nullptr) fail(std::string("there is no \"") + key + "\"");
    return *value;
  }
  std::string text(const char* key) const {
    if (!at(key).is_string()) fail(std::string("\"") + key + "\" is no text");
    return at(key).as_string();
  }
  std::optional<std::string> optional_text(const char* key) const {
    if (at(key).is_null()) return std::nullopt;
    return text(key);
  }
  bool flag(const char* key) const {
    if (!at(key).is_bool()) fail(std::string("\"") + key + "\" is no boolean");
    return at(key).as_bool();
  }
  int64_t integer(const char* key, int64_t least) const {
    if (!at(key).is_int() || at(key).as_int() < least) {
      fail(std::string("\"") + key + "\" is no number from " + std::to_string(least) + " on");
    }
    return at(key).as_int();
  }

 private:
  const Json& json_;
  const fs::path& path_;
};

bool leaves_folder(const std::string& path) {
  const fs::path p(path);
  return path.empty() || p.is_absolute() ||
         std::any_of(p.begin(), p.end(), [](const fs::path& part) { return part == ".."; });
}

}  // namespace

std::string export_manifest_text(const ExportManifest& m) {
  Json artifacts = Json::array();
  for (const ExportArtifact& a : m.artifacts) {
    Json one = Json::object();
    one.set("path", a.path);
    one.set("sha256", a.sha256);
    one.set("size_bytes", a.size_bytes);
    artifacts.push_back(std::move(one));
  }
  Json json = Json::object();
  json.set("target", m.target);
  json.set("quant", m.quant);
  json.set("merged", m.merged);
  json.set("dequantized", m.dequantized);
  json.set("ollama_name", text_or_null(m.ollama_name));
  json.set("created_at", m.created_at);
  json.set("created_by", m.created_by);
  json.set("llama_cpp_tag", text_or_null(m.llama_cpp_tag));
  json.set("base_model_hf_id", m.base_model_hf_id);
  json.set("base_model_revision", m.base_model_revision);
  json.set("adapter_version", m.adapter_version);
  json.set("artifacts", std::move(artifacts));
  return json.dump(2) + "\n";
}

ExportManifest parse_export_manifest(std::string_view text, const fs::path& path) {
  const Json json = parse_json(text, path.string());
  const ManifestReader reader(
      json, path,
      {"target", "quant", "merged", "dequantized", "ollama_name", "created_at", "created_by",
       "llama_cpp_tag", "base_model_hf_id", "base_model_revision", "adapter_version", "artifacts"});
  ExportManifest m;
  if (json.find("target") != nullptr) m.target = reader.text("target");
  m.quant = reader.text("quant");
  m.merged = reader.flag("merged");
  m.dequantized = reader.flag("dequantized");
  m.ollama_name = reader.optional_text("ollama_name");
  m.created_at = reader.text("created_at");
  m.created_by = reader.text("created_by");
  m.llama_cpp_tag = reader.optional_text("llama_cpp_tag");
  m.base_model_hf_id = reader.text("base_model_hf_id");
  m.base_model_revision = reader.text("base_model_revision");
  m.adapter_version = reader.integer("adapter_version", 1);
  if (!reader.at("artifacts").is_array()) reader.fail("\"artifacts\" is no list");
  for (const Json& item : reader.at("artifacts").items()) {
    const ManifestReader one(item, path, {"path", "sha256", "size_bytes"});
    ExportArtifact a{one.text("path"), one.text("sha256"),
                     static_cast<uint64_t>(one.integer("size_bytes", 0))};
    if (leaves_folder(a.path)) one.fail("\"" + a.path + "\" lies outside of the folder");
    if (!is_sha256_hex(a.sha256)) one.fail("\"sha256\" of " + a.path + " is no digest");
    m.artifacts.push_back(std::move(a));
  }
  return m;
}

namespace {

// All that is no folder, without digests. What a link names lies outside of what was written.
std::vector<ExportArtifact> find_files(const fs::path& folder) {
  std::vector<ExportArtifact> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const fs::file_type type = entry.symlink_status().type();
    if (type == fs::file_type::directory) continue;
    const uint64_t size_bytes = type == fs::file_type::regular ? entry.file_size() : 0;
    const std::string path = entry.path().lexically_relative(folder).generic_string();
    if (path != kExportManifestFile) all.push_back({path, "", size_bytes});
  }
  std::sort(all.begin(), all.end(),
            [](const ExportArtifact& a, const ExportArtifact& b) { return a.path < b.path; });
  return all;
}

}  // namespace

std::vector<ExportArtifact> list_artifacts(const fs::path& folder,
                                           const std::map<std::string, std::string>& known) {
  std::vector<ExportArtifact> all = find_files(folder);
  for (ExportArtifact& a : all) {
    const auto digest = known.find(a.path);
    a.sha256 = digest == known.end() ? sha256_file_hex(folder / a.path) : digest->second;
  }
  return all;
}

std::vector<std::string> check_artifacts(const fs::path& folder, const ExportManifest& manifest) {
  std::vector<std::string> faults;
  for (const ExportArtifact& a : manifest.artifacts) {
    const fs::path path = folder / a.path;
    std::error_code error;
    const fs::file_type type = fs::symlink_status(path, error).type();
    if (type == fs::file_type::not_found) {
      faults.push_back(a.path + " is missing");
    } else if (type != fs::file_type::regular) {
      faults.push_back(a.path + " is not a file of its own");
    } else if (fs::file_size(path, error) != a.size_bytes) {
      faults.push_back(a.path + " has another size");
    } else if (sha256_file_hex(path) != a.sha256) {
      faults.push_back(a.path + " has other content");
    }
  }
  for (const ExportArtifact& a : find_files(folder)) {
    const bool is_listed =
        std::any_of(manifest.artifacts.begin(), manifest.artifacts.end(),
                    [&](const ExportArtifact& listed) { return listed.path == a.path; });
    if (!is_listed) faults.push_back(a.path + " is not in the manifest");
  }
  return faults;
}

}  // namespace dlm
