// One repository in the cache of Hugging Face's programs, in their own layout, so that they and we
// read what either has fetched:
//
//   CACHE/models--org--name/blobs/DIGEST                 the bytes, once; DIGEST.incomplete: not
//   all
//                          refs/main                     the commit that a branch was at
//                          snapshots/COMMIT/config.json  a relative link to its blob
//                          .no_exist/COMMIT/FILE         empty: the commit has no such file
//   CACHE/.locks/models--org--name/DIGEST.lock           held while a blob is fetched
//
// Only names are made here and small files read or written; what a blob holds is checked elsewhere.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"

namespace dlm {

class HubCache {
 public:
  // `repository`: "org/name", checked by parse_hub_name() or of the registry.
  HubCache(const fs::path& cache, std::string_view repository);

  const fs::path& folder() const { return folder_; }
  fs::path blobs() const { return folder_ / "blobs"; }
  fs::path blob(std::string_view digest) const { return blobs() / digest; }
  fs::path part(std::string_view digest) const;
  fs::path lock(std::string_view digest) const;
  const fs::path& lock_folder() const { return locks_; }
  fs::path snapshot(std::string_view commit) const { return folder_ / "snapshots" / commit; }
  fs::path absences(std::string_view commit) const { return folder_ / ".no_exist" / commit; }

  // The commit of a revision as far as this machine knows: itself, or what its ref says.
  std::optional<std::string> commit_of(std::string_view revision) const;
  // A commit has no ref.
  void write_ref(std::string_view revision, std::string_view commit) const;
  // All commits with a snapshot, sorted.
  std::vector<std::string> commits() const;
  // Refs that say this commit, sorted.
  std::vector<std::string> refs_to(std::string_view commit) const;

  void link(std::string_view commit, std::string_view file, std::string_view digest) const;
  void mark_absent(std::string_view commit, std::string_view file) const;
  // The digest of the blob that a snapshot's file is a link to; "" when it is something else.
  std::string digest_of(const fs::path& file) const;

  // Removes a snapshot, its refs, and each blob that no other snapshot links to; with the last one
  // the whole folder. Returns the bytes that were freed. Throws Error(kIo).
  uint64_t remove(std::string_view commit) const;

 private:
  fs::path folder_;
  fs::path locks_;
};

// Repositories of models in the cache, as "org/name", sorted.
std::vector<std::string> cached_repositories(const fs::path& cache);

}  // namespace dlm
