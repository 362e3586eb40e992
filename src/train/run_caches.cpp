#include "train/run_caches.h"

#include <span>

#include "support/error.h"

namespace dlm {

void save_source_index(const Prepared& p, const fs::path& home, const ReplayWarning& on_warning) {
  try {
    p.sources.index.write(source_index_path(home, p.document.frontmatter));
  } catch (const Error& e) {
    on_warning(std::string("source files will be read again: ") + e.what());
  }
}

void save_cached_tokens(const Prepared& p, int64_t run_id, int64_t now_unix_seconds,
                        const ReplayWarning& on_warning) {
  CachedTokens* const cached = p.cached_tokens.get();
  if (cached == nullptr) return;
  try {
    const auto fresh =
        fresh_entries(p.rows, p.token_rows, *cached, p.document.frontmatter.system_prompt,
                      max_row_tokens(p.document.frontmatter, p.model_config));
    if (cached->cache.save(fresh, p.document.frontmatter.training.cache.max_bytes,
                           now_unix_seconds)) {
      cached->cache.record_use(run_id);
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kIo) throw;
    on_warning(std::string("no token cache: ") + e.what());
  }
}

void save_measured_roofs(const std::optional<Roofs>& measured, const fs::path& home,
                         const ReplayWarning& on_warning) {
  if (!measured) return;
  try {
    write_roofs(home, *measured);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kIo) throw;
    on_warning(std::string("the next run will measure this machine again: ") + e.what());
  }
}

}  // namespace dlm
