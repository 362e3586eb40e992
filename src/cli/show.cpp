// dlm show: what a document's store holds. Reads only, and starts nothing heavy.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "bases/registry.h"
#include "cli/command.h"
#include "cli/consent.h"
#include "cli/console.h"
#include "cli/row_listing.h"
#include "data/source_path.h"
#include "data/source_report.h"
#include "doc/document.h"
#include "store/inspection.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "support/clock.h"
#include "support/progress.h"
#include "train/prepare.h"

namespace dlm {

namespace {

struct ShowOptions {
  std::string path;
  std::optional<std::string> base;
  bool rows = false;
  bool json = false;
  bool allow_secrets = false;
};

std::optional<std::string> id_of(const fs::path& path) {
  try {
    return load_document(path).frontmatter.dlm_id;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Json cache_config_json(const CacheConfig& cache) {
  return Json::object({{"enabled", Json(cache.enabled)},
                       {"max_bytes", Json(cache.max_bytes)},
                       {"prune_older_than_days", Json(cache.prune_older_than_days)}});
}

// The licence of a document's base and whether it still has to be accepted; nothing is known of
// those that the registry lacks.
class ShownLicense {
 public:
  ShownLicense(const std::string& base, const StoreLayout& store, const fs::path& home)
      : base_(find_any_base(base)) {
    if (base_ == nullptr || !base_->needs_acceptance) return;
    ConsentRequest request;
    request.base = base;
    request.home = home;
    if (store.is_initialized()) request.of_store = read_manifest(store).license_acceptance;
    accepted_ = known_consent(request);
  }

  std::string text() const {
    if (base_ == nullptr) return {};
    std::string text(base_->license);
    if (accepted_) {
      text += ", accepted " + accepted_->accepted_at;
    } else if (base_->needs_acceptance) {
      text += ", has to be accepted: --i-accept-license of `dlm train`, after reading " +
              std::string(base_->license_url);
    }
    return fmt::format("{:<14} {}\n", "licence", text);
  }

  Json json() const {
    if (base_ == nullptr) return {};
    return Json::object({{"name", Json(base_->license)},
                         {"url", base_->license_url.empty() ? Json() : Json(base_->license_url)},
                         {"needs_acceptance", Json(base_->needs_acceptance)},
                         {"accepted_at", accepted_ ? Json(accepted_->accepted_at) : Json()}});
  }

 private:
  const BaseInfo* base_;  // null: not known
  std::optional<LicenseAcceptance> accepted_;
};

std::string text_of(const StoreInspection& s, const ShownLicense& license) {
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<14} {}\n", label, value);
  };
  line("dlm_id", s.dlm_id);
  const std::string revision =
      s.base_model_revision ? " (revision " + s.base_model_revision->substr(0, 7) + ")" : "";
  line("base_model", s.base_model + revision);
  text += license.text();
  line("store", s.path.string() + " (" + format_bytes(s.total_size_bytes) + ")");
  if (s.named_adapters.empty()) {
    line("adapter", s.has_adapter_current ? fmt::format("v{:04d}", s.adapter_version) : "none");
  }
  for (const StoredAdapter& a : s.named_adapters) {
    line("adapter", fmt::format("{:<16} {}", a.name,
                                a.has_current ? fmt::format("v{:04d}", a.latest_version)
                                              : "no current pointer"));
  }
  line("training runs", std::to_string(s.training_runs) +
                            (s.last_trained_at ? " (last " + *s.last_trained_at + ")" : ""));
  line("exports", std::to_string(s.exports.size()));
  for (const ExportRecord& e : s.exports) {
    line("", e.quant + (e.ollama_name ? "  " + *e.ollama_name : ""));
  }
  if (s.orphaned) line("orphaned", "the document of this store is missing or has another id");
  return text;
}

int show_rows(const ShowOptions& options) {
  PrepareOptions asked;
  asked.allows_secrets = options.allow_secrets;
  asked.now_unix_seconds = system_clock().unix_seconds();
  const Prepared prepared = prepare_rows(
      read_document(options.path), options.path, options.base, base_search(),
      [](const Warning& w) { warn(w.place.to_string() + ": " + w.message); }, asked);
  const RowListing listing = list_rows(prepared);
  if (options.json) {
    write_rows_json(listing, [](const std::string& row) { write_out(row); });
  } else {
    write_rows(listing, progress_target(stdout).has_colour,
               [](const std::string& row) { write_out(row); });
  }
  return 0;
}

// What the directives take now; a directive that cannot be read is told, not refused.
class ShownSources {
 public:
  ShownSources(const Document& document, const StoreLayout& store, const GlobalOptions& globals,
               bool allows_secrets)
      : document_(document) {
    const auto& directives = document.frontmatter.training.sources;
    if (!directives || directives->empty()) return;
    SourceOptions options;
    options.keeps_text = false;
    options.allows_secrets = allows_secrets;
    options.now_unix_seconds = system_clock().unix_seconds();
    const fs::path index = source_index_path(home_folder(globals), document.frontmatter);
    if (store.is_initialized()) options.index = index;
    try {
      sources_ = read_sources(document, options);
      for (const Warning& w : sources_.warnings) warn(w.place.to_string() + ": " + w.message);
      if (sources_.index_has_changed) sources_.index.write(index);
    } catch (const Error& error) {
      warn(error.what());
    }
  }

  std::string text() const {
    std::string text;
    for (const std::string& line : source_lines(sources_)) text += line + "\n";
    const auto& directives = document_.frontmatter.training.sources;
    for (size_t i = sources_.records.size(); directives && i < directives->size(); ++i) {
      text += "source: " + printable_path((*directives)[i].path) + ": not expanded\n";
    }
    return text;
  }

  void add_to(Json& json) const {
    const auto& directives = document_.frontmatter.training.sources;
    if (!directives || directives->empty()) return;
    const auto texts = [](const std::vector<std::string>& values) {
      Json list = Json::array();
      for (const std::string& value : values) list.push_back(value);
      return list;
    };
    const auto limit = [](const std::optional<int64_t>& value) {
      return value ? Json(*value) : Json();
    };
    Json list = Json::array();
    for (size_t i = 0; i < directives->size(); ++i) {
      const SourceDirective& directive = (*directives)[i];
      Json one = Json::object();
      one.set("path", directive.path);
      one.set("include", texts(directive.include));
      one.set("exclude", texts(directive.exclude));
      one.set("max_files", limit(directive.max_files));
      one.set("max_bytes_per_file", limit(directive.max_bytes_per_file));
      if (i < sources_.records.size()) {
        const Json counts = source_record_json(sources_.records[i]);
        for (const auto& [key, value] : counts.members()) one.set(key, value);
      }
      list.push_back(std::move(one));
    }
    json.set("training_sources", std::move(list));
    if (!sources_.configs.empty()) {
      json.set("discovered_training_configs", tree_configs_json(sources_.configs));
    }
  }

 private:
  const Document& document_;
  SourceSections sources_;
};

int run_show(const ShowOptions& options, const GlobalOptions& globals) {
  if (options.rows) return show_rows(options);
  const fs::path path = options.path;
  const Document document = load_document(path);
  for (const Warning& w : document.warnings) warn(w.place.to_string() + ": " + w.message);
  const StoreLayout store(home_folder(globals), document.frontmatter.dlm_id);
  const Json cache = cache_config_json(document.frontmatter.training.cache);
  const ShownSources sources(document, store, globals, options.allow_secrets);
  const bool is_trained = store.is_initialized();
  const ShownLicense license(
      is_trained ? read_manifest(store).base_model : document.frontmatter.base_model, store,
      home_folder(globals));
  if (!is_trained) {
    if (options.json) {
      Json json = Json::object();
      json.set("dlm_id", document.frontmatter.dlm_id);
      json.set("base_model", document.frontmatter.base_model);
      json.set("license", license.json());
      json.set("store_initialized", false);
      json.set("source_path", fs::absolute(path).lexically_normal().string());
      json.set("training_cache_config", cache);
      sources.add_to(json);
      write_out(json.dump(2) + "\n");
    } else {
      write_out(fmt::format("{:<14} {}\n{:<14} {}\n{:<14} {}\n", "path", path.string(), "dlm_id",
                            document.frontmatter.dlm_id, "base_model",
                            document.frontmatter.base_model) +
                license.text() +
                fmt::format("{:<14} {}\n", "store", "not yet initialized; `dlm train` creates it") +
                sources.text());
    }
    return 0;
  }
  const StoreInspection inspection =
      inspect_store(store, fs::absolute(path).lexically_normal(), id_of);
  if (options.json) {
    Json json = inspection_json(inspection);
    json.set("license", license.json());
    json.set("training_cache_config", cache);
    sources.add_to(json);
    write_out(json.dump(2) + "\n");
  } else {
    write_out(fmt::format("{:<14} {}\n", "path", path.string()) + text_of(inspection, license) +
              sources.text());
  }
  return 0;
}

}  // namespace

Action add_show(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* command = app.add_subcommand("show", "Show what a document's store holds");
  command->add_option("path", options->path, "The document")->required()->type_name("PATH");
  auto* rows = command->add_flag(
      "--rows", options->rows,
      "Show the rows that training makes of it, and which of their tokens carry loss");
  command->add_option("--base", options->base, "With --rows: as this base sees them")
      ->type_name("KEY")
      ->needs(rows);
  command->add_flag("--json", options->json, "Print JSON");
  command->add_flag("--allow-secrets", options->allow_secrets,
                    "Count source files with text that looks like a secret");
  return [options, &globals] { return run_show(*options, globals); };
}

}  // namespace dlm
