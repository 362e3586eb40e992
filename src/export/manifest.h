// export_manifest.json: what an export folder holds, file by file. Strict: exactly these fields in
// this order, as other programs read them. What else is known stands in export_provenance.json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"
#include "support/json.h"

namespace dlm {

inline constexpr const char* kExportManifestFile = "export_manifest.json";
inline constexpr const char* kExportProvenanceFile = "export_provenance.json";
inline constexpr const char* kExportProofFile = "export_proof.json";

struct ExportArtifact {
  std::string path;  // relative, with slashes
  std::string sha256;
  uint64_t size_bytes = 0;
  bool operator==(const ExportArtifact&) const = default;
};

struct ExportManifest {
  std::string target = "ollama";
  std::string quant;
  bool merged = false;
  bool dequantized = false;
  std::optional<std::string> ollama_name;
  std::string created_at;  // UTC, whole seconds
  std::string created_by;
  std::optional<std::string> llama_cpp_tag;
  std::string base_model_hf_id;
  std::string base_model_revision;
  int64_t adapter_version = 1;
  std::vector<ExportArtifact> artifacts;
  bool operator==(const ExportManifest&) const = default;
};

std::string export_manifest_text(const ExportManifest& manifest);
// Throws Error(kExport) naming the field: unknown, missing, of another type, a path that leaves the
// folder.
ExportManifest parse_export_manifest(std::string_view text, const fs::path& path);

// Every regular file below `folder` but the manifest, by path. `known`: digests by path, of files
// that are not read again.
std::vector<ExportArtifact> list_artifacts(const fs::path& folder,
                                           const std::map<std::string, std::string>& known = {});

// Hashes what the manifest lists; returns a sentence for each file that is missing or other.
std::vector<std::string> check_artifacts(const fs::path& folder, const ExportManifest& manifest);

}  // namespace dlm
