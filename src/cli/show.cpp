// dlm show: what a document's store holds. Reads only, and starts nothing heavy.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/row_listing.h"
#include "doc/document.h"
#include "store/inspection.h"
#include "store/store_layout.h"
#include "support/progress.h"

namespace dlm {

namespace {

struct ShowOptions {
  std::string path;
  std::optional<std::string> base;
  bool rows = false;
  bool json = false;
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

std::string text_of(const StoreInspection& s) {
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<14} {}\n", label, value);
  };
  line("dlm_id", s.dlm_id);
  const std::string revision =
      s.base_model_revision ? " (revision " + s.base_model_revision->substr(0, 7) + ")" : "";
  line("base_model", s.base_model + revision);
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
  const Prepared prepared =
      prepare_rows(read_document(options.path), options.path, options.base, base_search(),
                   [](const Warning& w) { warn(w.place.to_string() + ": " + w.message); });
  const RowListing listing = list_rows(prepared);
  if (options.json) {
    write_out(rows_json(listing).dump(2) + "\n");
  } else {
    write_rows(listing, progress_target(stdout).has_colour,
               [](const std::string& row) { write_out(row); });
  }
  return 0;
}

int run_show(const ShowOptions& options, const GlobalOptions& globals) {
  if (options.rows) return show_rows(options);
  const fs::path path = options.path;
  const Document document = load_document(path);
  for (const Warning& w : document.warnings) warn(w.place.to_string() + ": " + w.message);
  const StoreLayout store(home_folder(globals), document.frontmatter.dlm_id);
  const Json cache = cache_config_json(document.frontmatter.training.cache);
  if (!store.is_initialized()) {
    if (options.json) {
      Json json = Json::object();
      json.set("dlm_id", document.frontmatter.dlm_id);
      json.set("base_model", document.frontmatter.base_model);
      json.set("store_initialized", false);
      json.set("source_path", fs::absolute(path).lexically_normal().string());
      json.set("training_cache_config", cache);
      write_out(json.dump(2) + "\n");
    } else {
      write_out(fmt::format("{:<14} {}\n{:<14} {}\n{:<14} {}\n{:<14} {}\n", "path", path.string(),
                            "dlm_id", document.frontmatter.dlm_id, "base_model",
                            document.frontmatter.base_model, "store",
                            "not yet initialized; `dlm train` creates it"));
    }
    return 0;
  }
  const StoreInspection inspection =
      inspect_store(store, fs::absolute(path).lexically_normal(), id_of);
  if (options.json) {
    Json json = inspection_json(inspection);
    json.set("training_cache_config", cache);
    write_out(json.dump(2) + "\n");
  } else {
    write_out(fmt::format("{:<14} {}\n", "path", path.string()) + text_of(inspection));
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
  return [options, &globals] { return run_show(*options, globals); };
}

}  // namespace dlm
