#include "train/replay.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "data/token_rows.h"
#include "store/replay_sampler.h"
#include "support/clock.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr std::string_view kReferencePrefix = "replay:";

int64_t unix_seconds_of(const std::string& time) {
  constexpr int64_t kUsPerSecond = 1'000'000;
  return parse_utc(time).value_or(0) / kUsPerSecond;
}

int64_t last_run_id(const Manifest& manifest) {
  return manifest.next_run_id() - 1;
}

std::string reference_of(const ReplaySnapshot& snapshot) {
  return std::string(kReferencePrefix) + snapshot.section_id + ":" +
         format_utc(snapshot.last_seen_at) + "+00:00";
}

Section section_of(const ReplaySnapshot& snapshot) {
  Section section;
  section.type = snapshot.section_type == "prose"         ? SectionType::kProse
                 : snapshot.section_type == "instruction" ? SectionType::kInstruction
                                                          : SectionType::kPreference;
  section.content = snapshot.content;
  return section;
}

bool is_kept(const Section& section) {
  return !section.is_media() && section.source_path.empty();
}

// Throws Error(kStore) also for a text that is not the one that its id is made of.
ReplaySnapshot read_section(const ReplayHistory& history, const ReplayEntry& entry) {
  ReplaySnapshot snapshot = history.snapshot(entry);
  if (section_id(section_of(snapshot)) == snapshot.section_id) return snapshot;
  throw Error(ErrorKind::kStore,
              "section " + entry.section_id + " of the history has another text than its id says",
              "`dlm replay forget` takes it out of the history");
}

std::optional<ReplaySnapshot> read_or_warn(const ReplayHistory& history, const ReplayEntry& entry,
                                           const ReplayWarning& on_warning) {
  try {
    return read_section(history, entry);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kStore) throw;
    if (on_warning) on_warning(error.what());
    return std::nullopt;
  }
}

// What a row asks, or says when it asks nothing; a part of its text.
using RowKey = std::pair<RowKind, std::string_view>;
RowKey row_key(const DocumentRow& row) {
  return {row.kind, row.kind == RowKind::kChat ? trim(row.question()) : row.text()};
}

}  // namespace

std::string content_key(const Section& section) {
  Section trimmed;
  trimmed.type = section.type;
  trimmed.content = section.content.part(trim(section.content));
  trimmed.media_path = section.media_path;
  trimmed.media_blob_sha = section.media_blob_sha;
  return section_id(trimmed);
}

std::string content_key(const ReplaySnapshot& snapshot) {
  return content_key(section_of(snapshot));
}

std::vector<std::string> content_keys(const Document& document) {
  std::vector<std::string> keys;
  for (const Section& section : document.sections) keys.push_back(content_key(section));
  std::sort(keys.begin(), keys.end());
  return keys;
}

ReplaySnapshot as_last_seen(ReplaySnapshot snapshot, const Manifest& manifest) {
  if (!manifest.content_hashes.contains(snapshot.section_id)) return snapshot;
  std::vector<int64_t>& seen = snapshot.training_runs_seen;
  const int64_t known = seen.empty() ? 0 : *std::max_element(seen.begin(), seen.end());
  for (const TrainingRun& run : manifest.training_runs) {
    if (run.run_id <= known) continue;
    seen.push_back(run.run_id);
    snapshot.last_seen_at =
        std::max(snapshot.last_seen_at, unix_seconds_of(run.ended_at.value_or(run.started_at)));
  }
  return snapshot;
}

std::vector<PastSection> past_sections(const ReplayHistory& history, const Document& document,
                                       const Manifest& manifest, const ReplayWarning& on_warning) {
  const std::vector<std::string> keys = content_keys(document);
  std::set<std::string> ids;
  for (const Section& section : document.sections) ids.insert(section_id(section));
  std::map<std::string, PastSection> by_key;
  for (const ReplayEntry& entry : history.entries()) {
    if (ids.contains(entry.section_id)) continue;
    const auto read = read_or_warn(history, entry, on_warning);
    if (!read) continue;
    const std::string key = content_key(*read);
    if (std::binary_search(keys.begin(), keys.end(), key)) continue;
    const ReplaySnapshot snapshot = as_last_seen(*read, manifest);
    const auto& seen = snapshot.training_runs_seen;
    const int64_t last = seen.empty() ? 0 : *std::max_element(seen.begin(), seen.end());
    const PastSection past{snapshot.section_id, snapshot.section_type, entry.weight,
                           std::max<int64_t>(0, last_run_id(manifest) - last)};
    const auto [it, is_new] = by_key.emplace(key, past);
    if (!is_new && past.num_runs_ago < it->second.num_runs_ago) it->second = past;
  }
  std::vector<PastSection> result;
  for (auto& [key, past] : by_key) result.push_back(std::move(past));
  std::sort(result.begin(), result.end(),
            [](const PastSection& a, const PastSection& b) { return a.section_id < b.section_id; });
  return result;
}

std::vector<ReplaySnapshot> draw_replay(const ReplayHistory& history,
                                        const std::vector<PastSection>& past,
                                        const Document& document, const Manifest& manifest,
                                        int64_t seed) {
  std::set<std::string> fresh;
  for (const Section& section : document.sections) {
    const std::string id = section_id(section);
    if (!manifest.content_hashes.contains(id)) fresh.insert(id);
  }
  std::vector<ReplayCandidate> candidates;
  for (const PastSection& section : past) {
    if (section.section_type == "preference") continue;
    candidates.push_back(
        {section.section_id, section.weight, static_cast<double>(section.num_runs_ago)});
  }
  constexpr size_t kLeastDrawn = 32;
  const auto generator_seed = static_cast<uint64_t>(seed + manifest.adapter_version);
  std::vector<ReplaySnapshot> drawn;
  for (const ReplayCandidate& candidate :
       sample_replay(std::move(candidates), std::max(kLeastDrawn, 2 * fresh.size()), generator_seed,
                     ReplayScheme::kRecency)) {
    const ReplayEntry* entry = history.find(candidate.section_id);
    check(entry != nullptr, "a section is drawn that the history does not have");
    drawn.push_back(as_last_seen(read_section(history, *entry), manifest));
  }
  std::stable_sort(drawn.begin(), drawn.end(),
                   [](const ReplaySnapshot& a, const ReplaySnapshot& b) {
                     return a.last_seen_at > b.last_seen_at;
                   });
  return drawn;
}

std::vector<std::string> add_replay_rows(Prepared& p, const std::vector<ReplaySnapshot>& snapshots,
                                         const ReplayWarning& on_warning) {
  std::set<RowKey> keys;
  for (const DocumentRow& row : p.rows.rows) keys.insert(row_key(row));
  std::vector<std::string> references;
  for (const ReplaySnapshot& snapshot : snapshots) {
    try {
      Document past;
      past.frontmatter = p.document.frontmatter;
      past.sections = {section_of(snapshot)};
      DocumentRows rows = rows_of(past);
      std::erase_if(rows.rows, [&](const DocumentRow& row) { return keys.contains(row_key(row)); });
      std::shared_ptr<const RowSection> former, known;
      for (DocumentRow& row : rows.rows) {
        if (row.section != former) {
          former = row.section;
          RowSection section = *former;
          section.id = reference_of(snapshot);
          known = std::make_shared<const RowSection>(std::move(section));
        }
        row.origin = RowOrigin::kReplay;
        row.section = known;
        row.line = 0;
      }
      for (const DocumentRow& row : add_rows(p, std::move(rows))) keys.insert(row_key(row));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kParse && error.kind() != ErrorKind::kTrain) throw;
      if (on_warning) {
        on_warning("section " + snapshot.section_id +
                   " of the history is left out: " + error.message());
      }
      continue;
    }
    references.push_back(reference_of(snapshot));
  }
  return references;
}

std::vector<ReplaySnapshot> replayed_by(const std::vector<std::string>& references,
                                        const StoreLayout& store) {
  std::vector<ReplaySnapshot> snapshots;
  if (references.empty()) return snapshots;
  const ReplayHistory history = ReplayHistory::read(store);
  constexpr size_t kIdSize = 16;
  for (const std::string& reference : references) {
    const size_t after_id = kReferencePrefix.size() + kIdSize;
    const bool is_whole = reference.starts_with(kReferencePrefix) && reference.size() > after_id &&
                          parse_utc(reference.substr(after_id + 1)).has_value();
    if (!is_whole) {
      throw Error(ErrorKind::kFormat, "\"" + reference + "\" is no reference to the history",
                  "the record is damaged");
    }
    const std::string id = reference.substr(kReferencePrefix.size(), kIdSize);
    const ReplayEntry* entry = history.find(id);
    if (entry == nullptr) {
      throw Error(ErrorKind::kTrain,
                  "the run trained section " + id + " of the history, which is no longer there",
                  "it was forgotten or pruned: train anew, without --resume",
                  {store.replay().string()});
    }
    // Its time names the rows; the frame may have been written again since.
    snapshots.push_back(read_section(history, *entry));
    snapshots.back().last_seen_at = unix_seconds_of(reference.substr(after_id + 1));
  }
  return snapshots;
}

ReplayChoice choose_replay(Prepared& p, const StoreLayout& store, int64_t seed, bool is_wanted,
                           const ReplayWarning& on_warning) {
  const ReplayHistory history = ReplayHistory::read(store);
  if (history.entries().empty() || !store.is_initialized()) return {};
  const Manifest manifest = read_manifest(store);
  const auto past = past_sections(history, p.document, manifest, on_warning);
  if (past.empty()) return {};
  ReplayChoice choice;
  choice.reason = fmt::format("history: {} {} left the document", past.size(),
                              past.size() == 1 ? "section" : "sections");
  if (!is_wanted) {
    choice.reason += ", not trained without --replay-deleted";
    return choice;
  }
  choice.references =
      add_replay_rows(p, draw_replay(history, past, p.document, manifest, seed), on_warning);
  choice.reason += fmt::format(", {} trained: --replay-deleted", choice.references.size());
  return choice;
}

ReplayChoice replay_again(Prepared& p, const StoreLayout& store,
                          const std::vector<std::string>& references,
                          const ReplayWarning& on_warning) {
  ReplayHistory::read(store);  // a broken one is told now and not when the run is recorded
  ReplayChoice choice;
  choice.references = add_replay_rows(p, replayed_by(references, store), on_warning);
  if (references.empty()) return choice;
  choice.reason = fmt::format("history: {} trained as before", references.size());
  return choice;
}

void require_replayed(const std::vector<std::string>& references, const StoreLayout& store) {
  try {
    replayed_by(references, store);
  } catch (const Error& error) {
    throw Error(ErrorKind::kTrain,
                "the history changed while the run was planned: " + error.message(),
                "run the command again", error.place());
  }
}

void record_history(const StoreLayout& store, const Document& document, const Manifest& before,
                    int64_t run_id, const std::string& ended_at, const StoreLock& lock,
                    const ReplayWarning& on_warning) {
  const ReplayHistory history = ReplayHistory::read(store);
  const int64_t now = unix_seconds_of(ended_at);
  std::vector<ReplaySnapshot> changed;
  std::set<std::string> ids;
  for (const Section& section : document.sections) {
    const std::string id = section_id(section);
    if (!ids.insert(id).second || !is_kept(section)) continue;
    const ReplayEntry* entry = history.find(id);
    if (entry != nullptr && before.content_hashes.contains(id)) continue;
    ReplaySnapshot snapshot;
    snapshot.section_id = id;
    snapshot.section_type = section_type_word(section.type);
    snapshot.content = section.content.str();
    snapshot.auto_mined = section.mined.has_value();
    snapshot.first_seen_at = now;
    if (entry != nullptr) {
      if (const auto former = read_or_warn(history, *entry, on_warning)) {
        snapshot.first_seen_at = former->first_seen_at;
        snapshot.training_runs_seen = former->training_runs_seen;
      }
    }
    // A run that was killed before the manifest knew of it is recorded a second time.
    const auto& seen = snapshot.training_runs_seen;
    if (!seen.empty() && seen.back() == run_id) continue;
    snapshot.last_seen_at = std::max(now, snapshot.first_seen_at);
    snapshot.training_runs_seen.push_back(run_id);
    changed.push_back(std::move(snapshot));
  }
  for (const auto& [id, hash] : before.content_hashes) {
    const ReplayEntry* entry = ids.contains(id) ? nullptr : history.find(id);
    if (entry == nullptr) continue;
    const auto former = read_or_warn(history, *entry, on_warning);
    if (!former) continue;
    ReplaySnapshot snapshot = as_last_seen(*former, before);
    if (!(snapshot == *former)) changed.push_back(std::move(snapshot));
  }
  append_snapshots(store, changed, lock, on_warning);
}

}  // namespace dlm
