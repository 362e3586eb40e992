// A rewrite replaces two files as one: both are written in replay/.next, which becomes
// replay/.ready by one rename, the commit; then they move to their places. A reader looks into
// .ready first, file by file, and so sees the new pair from that rename on.
#include "store/replay_corpus.h"

#include <algorithm>
#include <map>

#include "support/error.h"

namespace dlm {

namespace {

constexpr const char* kCorpusFile = "corpus.zst";
constexpr const char* kIndexFile = "index.json";

fs::path next_folder(const StoreLayout& store) {
  return store.replay() / ".next";
}

fs::path ready_folder(const StoreLayout& store) {
  return store.replay() / ".ready";
}

fs::path newest(const StoreLayout& store, const char* name) {
  const fs::path ready = ready_folder(store) / name;
  return path_exists(ready) ? ready : store.replay() / name;
}

// "" when there is none.
std::string index_text(const StoreLayout& store) {
  const fs::path path = newest(store, kIndexFile);
  return path_exists(path) ? read_file(path) : std::string();
}

// Of several frames of one section the last seen counts, else the last in the file.
std::vector<ReplayEntry> each_once(const std::vector<ReplayEntry>& entries) {
  std::map<std::string, ReplayEntry> by_id;
  for (const ReplayEntry& entry : entries) {
    const auto [it, is_new] = by_id.emplace(entry.section_id, entry);
    if (!is_new && std::pair(it->second.added_at, it->second.byte_offset) <
                       std::pair(entry.added_at, entry.byte_offset)) {
      it->second = entry;
    }
  }
  std::vector<ReplayEntry> result;
  for (auto& [id, entry] : by_id) result.push_back(std::move(entry));
  return result;
}

void write_index(const StoreLayout& store, const std::vector<ReplayEntry>& entries) {
  write_file_atomic(store.replay_index(), replay_index_text(entries));
}

}  // namespace

ReplayHistory ReplayHistory::read(const StoreLayout& store) {
  // Index and corpus belong together when the index is the same before and after the corpus was
  // opened. A writer replaces it once a command, so the second look nearly always agrees.
  constexpr int kMostLooks = 100;
  for (int look = 1;; ++look) {
    try {
      ReplayHistory history;
      const std::string text = index_text(store);
      if (text.empty()) return history;
      history.corpus_path_ = store.replay_corpus();
      history.entries_ = each_once(parse_replay_index(text, store.replay_index()));
      const fs::path corpus = newest(store, kCorpusFile);
      if (path_exists(corpus)) history.corpus_.emplace_back(corpus);
      if (index_text(store) == text) return history;
    } catch (const Error& error) {
      // A file that moved between the look for it and its opening.
      if (error.kind() != ErrorKind::kIo || look == kMostLooks) throw;
    }
    if (look == kMostLooks) {
      throw Error(ErrorKind::kStore, "the history changes faster than it can be read",
                  "try again when no other dlm works on this store", {store.replay().string()});
    }
  }
}

const ReplayEntry* ReplayHistory::find(const std::string& section_id) const {
  const auto it = std::lower_bound(
      entries_.begin(), entries_.end(), section_id,
      [](const ReplayEntry& entry, const std::string& id) { return entry.section_id < id; });
  return it != entries_.end() && it->section_id == section_id ? &*it : nullptr;
}

std::string ReplayHistory::frame(const ReplayEntry& entry) const {
  const auto refuse = [&](const std::string& reason) {
    throw Error(ErrorKind::kStore,
                "section " + entry.section_id + " of the history cannot be read: " + reason,
                "`dlm replay forget` takes it out of the history", {corpus_path_.string()});
  };
  if (corpus_.empty()) refuse("the file is missing");
  if (entry.end() > file_bytes()) refuse("the file ends before it does");
  // A frame is at most a little larger than what it holds.
  if (entry.length > 2 * kMaxSnapshotBytes) refuse("its frame is larger than any section");
  return corpus_.front().read_at(entry.byte_offset, static_cast<size_t>(entry.length));
}

ReplaySnapshot ReplayHistory::snapshot(const ReplayEntry& entry) const {
  const std::string bytes = frame(entry);
  std::string reason;
  try {
    ReplaySnapshot snapshot = decode_frame(bytes);
    if (snapshot.section_id == entry.section_id) return snapshot;
    reason = "its frame holds section " + snapshot.section_id;
  } catch (const Error& error) {
    reason = error.message();
  }
  throw Error(ErrorKind::kStore,
              "section " + entry.section_id + " of the history cannot be read: " + reason,
              "`dlm replay forget` takes it out of the history", {corpus_path_.string()});
}

uint64_t ReplayHistory::live_bytes() const {
  uint64_t bytes = 0;
  for (const ReplayEntry& entry : entries_) bytes += entry.length;
  return bytes;
}

uint64_t ReplayHistory::file_bytes() const {
  return corpus_.empty() ? 0 : corpus_.front().size();
}

void append_snapshots(const StoreLayout& store, const std::vector<ReplaySnapshot>& snapshots,
                      const StoreLock& lock, const ReplayWarning& on_warning) {
  check(lock.guards(store), "a history is written without its store's lock");
  finish_rewrite(store, lock);
  if (snapshots.empty()) return;
  make_folders(store.replay());
  const ReplayHistory history = ReplayHistory::read(store);
  std::map<std::string, ReplayEntry> entries;
  uint64_t end = 0;
  for (const ReplayEntry& entry : history.entries()) {
    if (entry.end() > history.file_bytes()) {
      if (on_warning) {
        on_warning(store.replay_corpus().string() + ": section " + entry.section_id +
                   " of the history is lost: the file ends before it does");
      }
      continue;
    }
    end = std::max(end, entry.end());
    entries.emplace(entry.section_id, entry);
  }
  const uint64_t begin = end;
  std::string bytes;
  for (const ReplaySnapshot& snapshot : snapshots) {
    const std::string frame = encode_frame(snapshot);
    const auto former = entries.find(snapshot.section_id);
    const double weight = former == entries.end() ? 1.0 : former->second.weight;
    entries[snapshot.section_id] = {snapshot.section_id, begin + bytes.size(), frame.size(),
                                    snapshot.last_seen_at, weight};
    bytes += frame;
  }
  append_durably(store.replay_corpus(), begin, bytes);
  std::vector<ReplayEntry> list;
  for (auto& [id, entry] : entries) list.push_back(std::move(entry));
  write_index(store, list);
}

void rewrite_history(const StoreLayout& store, const std::vector<ReplayEntry>& kept,
                     const StoreLock& lock, const ReplayWarning& on_warning) {
  finish_rewrite(store, lock);
  const ReplayHistory history = ReplayHistory::read(store);
  const fs::path next = next_folder(store);
  make_folders(next);
  std::vector<ReplayEntry> entries;
  uint64_t at = 0;
  AtomicFile corpus(next / kCorpusFile);
  for (ReplayEntry entry : kept) {
    try {
      corpus.write(history.frame(entry));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kStore) throw;
      if (on_warning) on_warning(error.what());
      continue;
    }
    entry.byte_offset = at;
    at += entry.length;
    entries.push_back(std::move(entry));
  }
  corpus.commit();
  write_file_atomic(next / kIndexFile, replay_index_text(entries));
  move_path(next, ready_folder(store));
  finish_rewrite(store, lock);
}

void finish_rewrite(const StoreLayout& store, const StoreLock& lock) {
  check(lock.guards(store), "a history is written without its store's lock");
  if (is_folder(next_folder(store))) remove_path(next_folder(store));
  const fs::path ready = ready_folder(store);
  if (!is_folder(ready)) return;
  // In this order: with only the corpus moved, a reader still finds the new index in .ready.
  for (const char* name : {kCorpusFile, kIndexFile}) {
    if (path_exists(ready / name)) move_path(ready / name, store.replay() / name);
  }
  remove_path(ready);
}

}  // namespace dlm
