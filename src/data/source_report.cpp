#include "data/source_report.h"

#include <algorithm>

#include "data/source_path.h"
#include "support/progress.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr size_t kMaxSecretLines = 20;

std::string count_of(int64_t number, const char* one, const char* many) {
  return std::to_string(number) + " " + (number == 1 ? one : many);
}

std::vector<std::string> left_out(const SourceRecord& r) {
  std::vector<std::string> parts;
  const auto add = [&](int64_t number, const std::string& reason) {
    if (number > 0) parts.push_back(std::to_string(number) + " " + reason);
  };
  add(r.skipped_by_descent - r.skipped_default - r.skipped_secret_name, "by patterns");
  add(r.skipped_default, "of tools and builds");
  add(r.skipped_secret_name, "with the name of a secret");
  add(r.skipped_secret, "with what looks like a secret");
  add(r.skipped_binary, "binary");
  add(r.skipped_encoding, "not UTF-8");
  add(r.skipped_over_size, "too large (max_bytes_per_file)");
  add(r.skipped_image_no_store,
      r.skipped_image_no_store == 1 ? "image, not used yet" : "images, not used yet");
  add(r.skipped_audio_no_store, "audio, not used yet");
  add(r.skipped_outside, "by links that lead out of the source");
  add(r.skipped_duplicate, "taken already");
  add(r.skipped_unreadable, "not readable");
  if (r.skipped_folders > 0) {
    std::vector<std::string> names;
    for (const std::string& folder : r.left_out_folders) names.push_back(printable_path(folder));
    if (static_cast<size_t>(r.skipped_folders) > names.size()) names.push_back("…");
    parts.push_back(count_of(r.skipped_folders, "folder", "folders") + " (" + join(names, ", ") +
                    ")");
  }
  return parts;
}

}  // namespace

std::string source_counts(const SourceRecord& record) {
  std::string text = count_of(record.file_count, "file", "files") + ", " +
                     format_bytes(static_cast<uint64_t>(record.total_bytes));
  if (record.is_cut) text += "; the rest is not looked at (max_files)";
  const std::vector<std::string> parts = left_out(record);
  if (!parts.empty()) text += "; left out: " + join(parts, ", ");
  return text;
}

std::vector<std::string> source_lines(const SourceSections& sources) {
  std::vector<std::string> lines;
  for (const SourceRecord& record : sources.records) {
    lines.push_back("source: " + printable_path(record.path) + ": " + source_counts(record));
  }
  bool is_any_left_out = false;
  for (size_t i = 0; i < std::min(sources.secrets.size(), kMaxSecretLines); ++i) {
    const FoundSecret& secret = sources.secrets[i];
    is_any_left_out = is_any_left_out || !secret.is_allowed;
    lines.push_back(
        "  " + secret.path + ":" + std::to_string(secret.finding.line) + ": this looks like " +
        secret_words(secret.finding.kind) +
        (secret.is_allowed ? "; the file is taken, as allowed" : "; the file is left out"));
  }
  if (sources.secrets.size() > kMaxSecretLines) {
    lines.push_back("  and " + std::to_string(sources.secrets.size() - kMaxSecretLines) +
                    " files more with what looks like a secret");
  }
  if (is_any_left_out) {
    lines.push_back(
        "  a line !PATH in .dlm/ignore takes such a file, --allow-secrets takes all of them");
  }
  return lines;
}

Json source_record_json(const SourceRecord& r) {
  Json json = Json::object();
  json.set("path", r.path);
  json.set("file_count", r.file_count);
  json.set("total_bytes", r.total_bytes);
  json.set("sha256", r.sha256);
  // Media of sources are not taken yet.
  for (const char* key : {"image_count", "image_bytes", "audio_count", "audio_bytes"}) {
    json.set(key, 0);
  }
  json.set("skipped_binary", r.skipped_binary);
  json.set("skipped_encoding", r.skipped_encoding);
  json.set("skipped_over_size", r.skipped_over_size);
  json.set("skipped_by_descent", r.skipped_by_descent);
  json.set("skipped_image_no_store", r.skipped_image_no_store);
  json.set("skipped_audio_no_store", r.skipped_audio_no_store);
  json.set("skipped_audio_no_transcript", 0);
  json.set("skipped_secret", r.skipped_secret);
  json.set("skipped_secret_name", r.skipped_secret_name);
  json.set("skipped_default", r.skipped_default);
  json.set("skipped_outside", r.skipped_outside);
  json.set("skipped_duplicate", r.skipped_duplicate);
  json.set("skipped_unreadable", r.skipped_unreadable);
  json.set("skipped_folders", r.skipped_folders);
  json.set("max_files_reached", r.is_cut);
  return json;
}

Json source_records_json(const std::vector<SourceRecord>& records) {
  Json json = Json::array();
  for (const SourceRecord& record : records) json.push_back(source_record_json(record));
  return json;
}

Json tree_configs_json(const std::vector<TreeConfigFound>& configs) {
  const auto texts = [](const std::vector<std::string>& values) {
    Json list = Json::array();
    for (const std::string& value : values) list.push_back(value);
    return list;
  };
  Json list = Json::array();
  for (const TreeConfigFound& found : configs) {
    const TreeConfig config = found.config.value_or(TreeConfig{});
    Json metadata = Json::object();
    for (const auto& [tag, value] : config.metadata) metadata.set(tag, value);
    Json json = Json::object();
    json.set("anchor", found.folder.empty() ? "." : found.folder);
    json.set("has_training_yaml", found.has_training_yaml);
    json.set("has_ignore", found.has_ignore);
    json.set("include", texts(config.include));
    json.set("exclude", texts(config.exclude));
    json.set("exclude_defaults", config.exclude_defaults ? Json(*config.exclude_defaults) : Json());
    json.set("metadata", std::move(metadata));
    json.set("ignore_rules", static_cast<int64_t>(found.num_ignore_rules));
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace dlm
