// dlm replay: the history of a document's sections: what it holds, and how to have less of it.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/duration.h"
#include "cli/size.h"
#include "doc/document.h"
#include "store/manifest.h"
#include "support/clock.h"
#include "support/progress.h"
#include "support/text.h"
#include "train/forget.h"
#include "train/replay.h"

namespace dlm {

namespace {

struct ReplayOptions {
  std::string path;
  bool json = false;
  std::optional<std::string> max_bytes;
  std::optional<std::string> older_than;
  bool dry_run = false;
  std::vector<std::string> sections;
  bool deleted = false;
};

// A document, its store and the history in it.
struct Opened {
  Document document;
  StoreLayout store;
  ReplayHistory history;
  Manifest manifest;
};

Opened open(const std::string& path, const GlobalOptions& globals) {
  Document document = load_document(path);
  StoreLayout store(home_folder(globals), document.frontmatter.dlm_id);
  ReplayHistory history = ReplayHistory::read(store);
  Manifest manifest;
  if (store.is_initialized()) manifest = read_manifest(store);
  return {std::move(document), std::move(store), std::move(history), std::move(manifest)};
}

// One section of the history as people see it.
struct Line {
  ReplayEntry entry;
  std::optional<ReplaySnapshot> snapshot;  // without its text; none: its frame cannot be read
  std::string first_words;
  uint64_t content_bytes = 0;
  bool in_document = false;
};

// The first words on one line: white space becomes one blank, other control characters vanish.
std::string first_words(std::string_view content) {
  constexpr size_t kMostCharacters = 40;
  std::string words;
  size_t count = 0;
  bool is_blank_due = false;
  for (const uint32_t c : decode_utf8(trim(content))) {
    if (is_unicode_space(c)) {
      is_blank_due = true;
      continue;
    }
    // C0, DEL, C1 and the marks that turn the direction of text.
    const bool is_control = c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x200E || c == 0x200F ||
                            (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
    if (is_control) continue;
    if (count + (is_blank_due ? 1 : 0) >= kMostCharacters) return words + "…";
    if (is_blank_due) {
      words += ' ';
      ++count;
    }
    is_blank_due = false;
    append_utf8(words, c);
    ++count;
  }
  return words;
}

std::vector<Line> lines_of(const Opened& opened) {
  const std::vector<std::string> keys = content_keys(opened.document);
  std::vector<std::string> ids;
  for (const Section& section : opened.document.sections) ids.push_back(section_id(section));
  std::vector<Line> lines;
  for (const ReplayEntry& entry : opened.history.entries()) {
    Line line{entry,
              std::nullopt,
              {},
              0,
              std::find(ids.begin(), ids.end(), entry.section_id) != ids.end()};
    try {
      line.snapshot = as_last_seen(opened.history.snapshot(entry), opened.manifest);
      line.entry.added_at = line.snapshot->last_seen_at;
      line.in_document |= std::binary_search(keys.begin(), keys.end(), content_key(*line.snapshot));
      line.first_words = first_words(line.snapshot->content);
      line.content_bytes = line.snapshot->content.size();
      std::string().swap(line.snapshot->content);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kStore) throw;
      warn(error.what());
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

Json line_json(const Line& line) {
  Json json = Json::object();
  json.set("section_id", line.entry.section_id);
  json.set("in_document", line.in_document);
  json.set("weight", line.entry.weight);
  json.set("stored_bytes", Json(line.entry.length));
  json.set("readable", line.snapshot.has_value());
  if (!line.snapshot) return json;
  const ReplaySnapshot& s = *line.snapshot;
  json.set("section_type", s.section_type);
  json.set("bytes", Json(line.content_bytes));
  json.set("first_words", line.first_words);
  json.set("auto_mined", s.auto_mined);
  json.set("first_seen_at", format_utc(s.first_seen_at));
  json.set("last_seen_at", format_utc(s.last_seen_at));
  Json runs = Json::array();
  for (const int64_t run : s.training_runs_seen) runs.push_back(run);
  json.set("training_runs_seen", std::move(runs));
  return json;
}

std::string line_text(const Line& line) {
  const char* place = line.in_document ? "in document" : "deleted";
  if (!line.snapshot) return fmt::format("{}  unreadable\n", line.entry.section_id);
  const ReplaySnapshot& s = *line.snapshot;
  const size_t runs = s.training_runs_seen.size();
  return fmt::format("{}  {:<11}  {:<11}  {:>9}  {} to {}  {:>3} {}  {}{}\n", line.entry.section_id,
                     s.section_type, place, format_bytes(line.content_bytes),
                     format_utc(s.first_seen_at).substr(0, 10),
                     format_utc(s.last_seen_at).substr(0, 10), runs, runs == 1 ? "run " : "runs",
                     line.entry.weight == 1 ? "" : fmt::format("(weight {}) ", line.entry.weight),
                     line.first_words);
}

int run_list(const ReplayOptions& options, const GlobalOptions& globals) {
  const Opened opened = open(options.path, globals);
  const std::vector<Line> lines = lines_of(opened);
  const uint64_t live = opened.history.live_bytes(), whole = opened.history.file_bytes();
  const uint64_t dead = whole > live ? whole - live : 0;
  if (options.json) {
    Json sections = Json::array();
    for (const Line& line : lines) sections.push_back(line_json(line));
    Json json = Json::object();
    json.set("dlm_id", opened.document.frontmatter.dlm_id);
    json.set("stored_bytes", Json(live));
    json.set("reclaimable_bytes", Json(dead));
    json.set("sections", std::move(sections));
    write_out(json.dump(2) + "\n");
    return 0;
  }
  std::string text;
  for (const Line& line : lines) text += line_text(line);
  write_out(text);
  if (globals.quiet) return 0;
  const auto num_deleted =
      std::count_if(lines.begin(), lines.end(), [](const Line& l) { return !l.in_document; });
  say(fmt::format(
      "history: {} sections, {} of them deleted, {} on disk{}", lines.size(), num_deleted,
      format_bytes(live),
      dead > 0 ? ", and " + format_bytes(dead) + " that `dlm replay prune` reclaims" : ""));
  return 0;
}

int run_prune(const ReplayOptions& options, const GlobalOptions& globals) {
  const uint64_t max_bytes =
      options.max_bytes ? parse_size(*options.max_bytes, "--max-bytes") : UINT64_MAX;
  const int64_t seconds =
      options.older_than ? parse_duration(*options.older_than, "--older-than") : 0;
  const StoreLayout store(home_folder(globals), load_document(options.path).frontmatter.dlm_id);
  std::optional<StoreLock> lock;
  if (!options.dry_run && is_folder(store.replay())) {
    lock.emplace(StoreLock::acquire(store, system_clock()));
    finish_rewrite(store, *lock);
  }
  const Opened opened = open(options.path, globals);
  const int64_t oldest = system_clock().unix_seconds() - seconds;
  std::vector<ReplayEntry> entries;
  std::vector<std::string> gone, kept_always;
  for (const Line& line : lines_of(opened)) {
    if (line.in_document) {
      kept_always.push_back(line.entry.section_id);
    } else if (options.older_than && line.entry.added_at < oldest) {
      gone.push_back(line.entry.section_id);
      continue;
    }
    entries.push_back(line.entry);
  }
  const Eviction eviction = evict_until(entries, max_bytes, kept_always);
  for (const ReplayEntry& entry : eviction.evicted) gone.push_back(entry.section_id);
  if (lock) {
    // The entries as they lie: when a section was last seen is not for this command to write.
    std::vector<ReplayEntry> kept = opened.history.entries();
    std::erase_if(kept, [&](const ReplayEntry& entry) {
      return std::find(gone.begin(), gone.end(), entry.section_id) != gone.end();
    });
    rewrite_history(store, kept, *lock, [](const std::string& text) { warn(text); });
  }
  for (const std::string& id : gone) write_out(id + "\n");
  if (globals.quiet) return 0;
  const ReplayHistory now = ReplayHistory::read(store);
  say(fmt::format("{}: {} {}; the history takes {}", options.dry_run ? "would prune" : "pruned",
                  gone.size(), gone.size() == 1 ? "section" : "sections",
                  format_bytes(now.file_bytes())));
  return 0;
}

int run_forget(const ReplayOptions& options, const GlobalOptions& globals) {
  if (options.sections.empty() != options.deleted) {
    throw Error(ErrorKind::kUsage, "which sections?",
                "name their ids, which `dlm replay list` shows, or give --deleted for all that are "
                "not in the document");
  }
  const StoreLayout store(home_folder(globals), load_document(options.path).frontmatter.dlm_id);
  if (!is_folder(store.replay())) {
    throw Error(ErrorKind::kStore, "the document has no history yet", "it begins with `dlm train`",
                {options.path});
  }
  const StoreLock lock = StoreLock::acquire(store, system_clock());
  finish_rewrite(store, lock);
  const Opened opened = open(options.path, globals);
  std::vector<std::string> ids = options.sections;
  if (options.deleted) {
    for (const Line& line : lines_of(opened)) {
      if (!line.in_document) ids.push_back(line.entry.section_id);
    }
  }
  const ForgetReport report = forget_sections(store, opened.document, ids, lock,
                                              [](const std::string& text) { warn(text); });
  for (const std::string& id : report.sections) write_out(id + "\n");
  if (globals.quiet) return 0;
  say(fmt::format("forgotten: {} {}", report.sections.size(),
                  report.sections.size() == 1 ? "section" : "sections"));
  for (const std::string& version : report.versions) {
    say(version +
        ": trained on it, and may still know it; its copy of the document is removed, so "
        "it cannot be reproduced any more");
  }
  if (!report.versions.empty()) {
    say("hint: `dlm train` makes a version that does not know it; the folders of older ones can be "
        "deleted then");
  }
  return 0;
}

CLI::App* add_action(CLI::App& command, const char* name, const char* what,
                     const std::shared_ptr<ReplayOptions>& options) {
  CLI::App* action = command.add_subcommand(name, what);
  action->add_option("path", options->path, "The document")->required()->type_name("PATH");
  return action;
}

}  // namespace

Action add_replay(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* command = app.add_subcommand(
      "replay", "The history of a document's sections: list, prune or forget them");
  command->require_subcommand(1);
  CLI::App* list =
      add_action(*command, "list", "Show the sections that the history holds", options);
  list->add_flag("--json", options->json, "Print JSON");
  CLI::App* prune =
      add_action(*command, "prune", "Drop deleted sections and reclaim dead space", options);
  prune
      ->add_option("--max-bytes", options->max_bytes,
                   "Drop those seen longest ago until the history takes at most this, as 10M")
      ->type_name("SIZE");
  prune
      ->add_option("--older-than", options->older_than,
                   "Drop those that were last seen longer ago, as 90d")
      ->type_name("TIME");
  prune->add_flag("--dry-run", options->dry_run, "Show what would go, change nothing");
  CLI::App* forget =
      add_action(*command, "forget", "Remove sections' text from the store for good", options);
  forget->add_option("sections", options->sections, "Ids of sections")->type_name("SECTION");
  forget->add_flag("--deleted", options->deleted, "All that are not in the document");
  return [options, &globals, list, prune] {
    if (list->parsed()) return run_list(*options, globals);
    return prune->parsed() ? run_prune(*options, globals) : run_forget(*options, globals);
  };
}

}  // namespace dlm
