// The history of a document in a training run: which sections are kept after a run, which of those
// that left the document a run trains again, and their rows. A run trains the whole document from
// the base each time, so the history serves only what is no longer in it; and that only when asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "doc/document.h"
#include "store/manifest.h"
#include "store/replay_corpus.h"
#include "train/prepare.h"

namespace dlm {

// Sections are the same when they say the same: blank space at their ends, by which ids differ,
// does not count here.
std::string content_key(const Section& section);
std::string content_key(const ReplaySnapshot& snapshot);
std::vector<std::string> content_keys(const Document& document);  // sorted

// The snapshot with what the manifest knows: a section that was in the last run was seen by all
// runs since the one that kept it.
ReplaySnapshot as_last_seen(ReplaySnapshot snapshot, const Manifest& manifest);

// A section of the history that the document does not have.
struct PastSection {
  std::string section_id;
  std::string section_type;
  double weight = 1;
  int64_t num_runs_ago = 0;  // 0: the last run had it
};
// By section id. Of sections that say the same the one seen last counts. What cannot be read is
// skipped with a warning that names it.
std::vector<PastSection> past_sections(const ReplayHistory& history, const Document& document,
                                       const Manifest& manifest, const ReplayWarning& on_warning);

// Draws from the past sections that give rows: max(32, 2 × new sections) of them, those seen lately
// rather than others, with a generator of its own for each run. Those seen last stand first.
// Preference sections and those of weight 0 are never drawn.
std::vector<ReplaySnapshot> draw_replay(const ReplayHistory& history,
                                        const std::vector<PastSection>& past,
                                        const Document& document, const Manifest& manifest,
                                        int64_t seed);

// Puts rows of the snapshots behind those of the document and returns the snapshots' references,
// "replay:ID:TIME". Left out are rows that ask or say what a row before them does (the document's
// word counts, and no held-out row is trained by the way), and, with a warning, sections that break
// the grammar or do not fit the base.
std::vector<std::string> add_replay_rows(Prepared& p, const std::vector<ReplaySnapshot>& snapshots,
                                         const ReplayWarning& on_warning);
// The snapshots that a run of before replayed, by their references. Throws Error(kTrain) when one
// is no longer in the history.
std::vector<ReplaySnapshot> replayed_by(const std::vector<std::string>& references,
                                        const StoreLayout& store);

// What of the history a run trains. Its rows stand behind those of the document.
struct ReplayChoice {
  std::vector<std::string> references;
  std::string reason;  // for the plan; "" when nothing has left the document
};
// Draws past sections when they are wanted, else only counts them. Reads the store as it is.
ReplayChoice choose_replay(Prepared& p, const StoreLayout& store, int64_t seed, bool is_wanted,
                           const ReplayWarning& on_warning);
// What the run trained that goes on. Throws what replayed_by throws.
ReplayChoice replay_again(Prepared& p, const StoreLayout& store,
                          const std::vector<std::string>& references,
                          const ReplayWarning& on_warning);
// For a choice that was made before the store was locked. Throws Error(kTrain) when the history no
// longer has it.
void require_replayed(const std::vector<std::string>& references, const StoreLayout& store);

// After a run was committed and before the manifest knows of it: keeps the document's own prose,
// instruction and preference sections that are new, and when those that left it were last seen.
// Sections of source trees are not kept: the tree is their record.
void record_history(const StoreLayout& store, const Document& document, const Manifest& before,
                    int64_t run_id, const std::string& ended_at, const StoreLock& lock,
                    const ReplayWarning& on_warning);

}  // namespace dlm
