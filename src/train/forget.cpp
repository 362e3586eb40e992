#include "train/forget.h"

#include <algorithm>
#include <set>

#include "support/error.h"
#include "support/text.h"
#include "train/prepare.h"
#include "train/replay.h"

namespace dlm {

namespace {

using Ids = std::set<std::string>;

void require_forgettable(const ReplayHistory& history, const Document& document, const Ids& ids) {
  Ids present;
  for (const Section& section : document.sections) present.insert(section_id(section));
  for (const std::string& id : ids) {
    if (present.contains(id)) {
      throw Error(ErrorKind::kUsage, "section " + id + " is in the document",
                  "delete it from the document first: the next training would keep it again",
                  {document.path.string()});
    }
    if (history.find(id) != nullptr) continue;
    std::vector<std::string> known;
    for (const ReplayEntry& entry : history.entries()) known.push_back(entry.section_id);
    const auto near = nearest_word(id, known);
    throw Error(ErrorKind::kStore, "the history has no section \"" + id + "\"",
                near ? "did you mean " + *near + "?" : "`dlm replay list` shows what it has");
  }
}

// What the sections say, beside their ids: copies hold them with other blank space at their ends.
Ids keys_of(const ReplayHistory& history, const Ids& ids) {
  Ids keys;
  for (const std::string& id : ids) {
    try {
      keys.insert(content_key(history.snapshot(*history.find(id))));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kStore) throw;  // unreadable: its id must do
    }
  }
  return keys;
}

std::vector<fs::path> copies_of_documents(const StoreLayout& store) {
  std::vector<fs::path> copies;
  std::error_code error;
  for (fs::recursive_directory_iterator it(store.adapter(), error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename() == kDocumentFile) copies.push_back(it->path());
  }
  std::sort(copies.begin(), copies.end());
  return copies;
}

bool has_any(const fs::path& copy, const Ids& ids, const Ids& keys,
             const ReplayWarning& on_warning) {
  try {
    const Document document = parse_document(read_document(copy), copy.string());
    return std::any_of(document.sections.begin(), document.sections.end(), [&](const Section& s) {
      return ids.contains(section_id(s)) || keys.contains(content_key(s));
    });
  } catch (const Error& error) {
    if (on_warning) {
      on_warning(std::string(error.what()) +
                 "; the file was left as it is, delete it if it may hold the section");
    }
    return false;
  }
}

}  // namespace

ForgetReport forget_sections(const StoreLayout& store, const Document& document,
                             const std::vector<std::string>& section_ids, const StoreLock& lock,
                             const ReplayWarning& on_warning) {
  finish_rewrite(store, lock);
  const ReplayHistory history = ReplayHistory::read(store);
  const Ids ids(section_ids.begin(), section_ids.end());
  require_forgettable(history, document, ids);
  const Ids keys = keys_of(history, ids);
  ForgetReport report;
  report.sections.assign(ids.begin(), ids.end());
  for (const fs::path& copy : copies_of_documents(store)) {
    if (!has_any(copy, ids, keys, on_warning)) continue;
    report.versions.push_back(store.relative(copy.parent_path()));
    remove_path(copy);
    sync_folder(copy.parent_path());
  }
  remove_path(store.tokenized_cache());
  std::vector<ReplayEntry> kept = history.entries();
  std::erase_if(kept, [&](const ReplayEntry& entry) { return ids.contains(entry.section_id); });
  rewrite_history(store, kept, lock, on_warning);
  return report;
}

}  // namespace dlm
