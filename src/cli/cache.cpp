// dlm cache: what the token cache of a document's store holds, and making it smaller.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/consent.h"
#include "cli/console.h"
#include "cli/duration.h"
#include "data/token_cache.h"
#include "doc/document.h"
#include "store/store_layout.h"
#include "support/clock.h"
#include "support/progress.h"

namespace dlm {

namespace {

struct CacheOptions {
  std::string path;
  bool json = false;
  bool force = false;
  std::optional<std::string> older_than;
};

constexpr int64_t kSecondsPerDay = 86400;

struct DocumentCache {
  Document document;
  TokenCache cache;
};

DocumentCache open_cache(const CacheOptions& options, const GlobalOptions& globals) {
  Document document = load_document(options.path);
  const StoreLayout store(home_folder(globals), document.frontmatter.dlm_id);
  TokenCache cache(store.tokenized_cache());
  for (const std::string& what : cache.warnings()) warn(cache.folder().string() + ": " + what);
  return {std::move(document), std::move(cache)};
}

int run_show(const CacheOptions& options, const GlobalOptions& globals) {
  const DocumentCache opened = open_cache(options, globals);
  const TokenCacheSize size = opened.cache.size();
  const auto use = opened.cache.last_use();
  const bool is_enabled = opened.document.frontmatter.training.cache.enabled;
  std::optional<double> rate;
  if (use && use->hits + use->misses > 0) {
    rate = static_cast<double>(use->hits) / static_cast<double>(use->hits + use->misses);
  }
  if (options.json) {
    Json json = Json::object();
    json.set("dlm_id", opened.document.frontmatter.dlm_id);
    json.set("cache_path", opened.cache.folder().string());
    json.set("entry_count", size.entries);
    json.set("bytes", size.bytes);
    json.set("last_run_hit_rate", rate ? Json(*rate) : Json());
    json.set("last_run_id", use ? Json(use->run_id) : Json());
    json.set("cache_status", is_enabled ? Json() : Json("disabled by training.cache.enabled"));
    write_out(json.dump(2) + "\n");
    return 0;
  }
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<14} {}\n", label, value);
  };
  line("path", opened.cache.folder().string());
  if (!is_enabled) line("status", "disabled by training.cache.enabled");
  line("entries", std::to_string(size.entries));
  line("size", format_bytes(size.bytes));
  if (rate) {
    line("last run", fmt::format("{:.1f}% hits ({}/{}), run {}", 100 * *rate, use->hits,
                                 use->hits + use->misses, use->run_id));
  }
  write_out(text);
  return 0;
}

int run_prune(const CacheOptions& options, const GlobalOptions& globals) {
  const std::optional<int64_t> seconds =
      options.older_than ? std::optional(parse_duration(*options.older_than, "--older-than"))
                         : std::nullopt;
  DocumentCache opened = open_cache(options, globals);
  const int64_t days = opened.document.frontmatter.training.cache.prune_older_than_days;
  const int64_t now = system_clock().unix_seconds();
  const int64_t removed =
      opened.cache.remove_unused_since(now - seconds.value_or(days * kSecondsPerDay));
  write_out(fmt::format("removed {} entries older than {}\n", removed,
                        options.older_than.value_or(std::to_string(days) + "d")));
  return 0;
}

int run_clear(const CacheOptions& options, const GlobalOptions& globals) {
  DocumentCache opened = open_cache(options, globals);
  const TokenCacheSize size = opened.cache.size();
  if (size.entries > 0 && !options.force &&
      !agrees(fmt::format("remove {} entries ({})?", size.entries, format_bytes(size.bytes)))) {
    say("cancelled");
    return 0;
  }
  write_out(fmt::format("removed {} entries\n", opened.cache.clear()));
  return 0;
}

}  // namespace

Action add_cache(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<CacheOptions>();
  CLI::App* command =
      app.add_subcommand("cache", "Show, prune or clear the token cache of a document's store");
  command->require_subcommand(1);
  command->fallthrough();
  const auto add = [&](const char* name, const char* what) {
    CLI::App* one = command->add_subcommand(name, what);
    one->add_option("path", options->path, "The document")->required()->type_name("PATH");
    one->fallthrough();
    return one;
  };
  CLI::App* show = add("show", "Show how much it holds and how well the last run used it");
  show->add_flag("--json", options->json, "Print JSON");
  CLI::App* prune = add("prune", "Remove what was not used for a time");
  prune
      ->add_option("--older-than", options->older_than,
                   "A time as 30d, 12h, 90m or 10s (default: training.cache.prune_older_than_days)")
      ->type_name("TIME");
  CLI::App* clear = add("clear", "Remove all of it");
  clear->add_flag("--force", options->force, "Do not ask");
  return [options, &globals, show, prune] {
    if (show->parsed()) return run_show(*options, globals);
    return prune->parsed() ? run_prune(*options, globals) : run_clear(*options, globals);
  };
}

}  // namespace dlm
