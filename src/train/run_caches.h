// What a run keeps only to save time later; it does not fail for want of it.
#pragma once

#include "train/prepare.h"
#include "train/replay.h"
#include "train/roofs.h"

namespace dlm {

// What is known of source files, into the store below `home`.
void save_source_index(const Prepared& p, const fs::path& home, const ReplayWarning& on_warning);

// Rows that the token cache lacks, and how it was used.
void save_cached_tokens(const Prepared& p, int64_t run_id, int64_t now_unix_seconds,
                        const ReplayWarning& on_warning);

// The machine's rates, where this run had to measure one.
void save_measured_roofs(const std::optional<Roofs>& measured, const fs::path& home,
                         const ReplayWarning& on_warning);

}  // namespace dlm
