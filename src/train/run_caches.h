// What a run keeps only to save time later; it does not fail for want of it.
#pragma once

#include "train/prepare.h"
#include "train/replay.h"

namespace dlm {

// What is known of source files, into the store below `home`.
void save_source_index(const Prepared& p, const fs::path& home, const ReplayWarning& on_warning);

// Rows that the token cache lacks, and how it was used.
void save_cached_tokens(const Prepared& p, int64_t run_id, int64_t now_unix_seconds,
                        const ReplayWarning& on_warning);

}  // namespace dlm
