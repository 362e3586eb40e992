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
    const Frontmatter& front = p.document.frontmatter;
    const int64_t max_tokens = max_row_tokens(front, p.model_config);
    const auto fresh = fresh_entries(p.rows, *cached, front.system_prompt, max_tokens);
    const auto rows_of = [&](size_t number) {
      std::vector<TokenRow> rows;
      tokenize_row(p.rows.rows[number], *p.format, front.system_prompt, max_tokens, p.shown_path,
                   [&](TokenRow row) { rows.push_back(std::move(row)); });
      return rows;
    };
    if (cached->cache.save(fresh, rows_of, front.training.cache.max_bytes, now_unix_seconds)) {
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
