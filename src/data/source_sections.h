// training.sources: the text files of a document's source trees as sections of prose, in the order
// of the directives and of the paths. What is not taken is counted by reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/secret_scan.h"
#include "data/source_index.h"
#include "data/source_walk.h"
#include "doc/document.h"

namespace dlm {

// Of a file whose directive writes no max_bytes_per_file, and the most that one may write.
inline constexpr int64_t kDefaultMaxSourceFileBytes = int64_t{16} << 20;
inline constexpr int64_t kMaxSourceFileBytes = int64_t{256} << 20;
// Of all sources of a document together.
inline constexpr int64_t kMaxSourceBytes = int64_t{2} << 30;

// What became of one directive.
struct SourceRecord {
  std::string path;  // as the document writes it
  int64_t file_count = 0;
  int64_t total_bytes = 0;  // of these files as they lie on disk
  std::string sha256;       // of the lines "SHA-256, two blanks, path" of these files
  // Files that were left out.
  int64_t skipped_binary = 0;
  int64_t skipped_encoding = 0;
  int64_t skipped_over_size = 0;
  int64_t skipped_by_descent = 0;  // by patterns, defaults and ignore files
  int64_t skipped_image_no_store = 0;
  int64_t skipped_audio_no_store = 0;
  int64_t skipped_secret = 0;       // text that looks like a secret
  int64_t skipped_secret_name = 0;  // part of skipped_by_descent
  int64_t skipped_default = 0;      // part of skipped_by_descent
  int64_t skipped_outside = 0;      // links that lead out of the source, policy strict
  int64_t skipped_duplicate = 0;    // taken already, by this or an earlier directive
  int64_t skipped_unreadable = 0;
  int64_t skipped_folders = 0;                // not entered, so their files are not counted
  bool is_cut = false;                        // max_files was reached
  std::vector<std::string> left_out_folders;  // the first few
};

struct FoundSecret {
  std::string path;  // as shown: the directive's path and the file's
  SecretFinding finding;
  bool is_allowed = false;
};

struct SourceOptions {
  fs::path document;       // whose folder relative paths begin at; empty: the document's own path
  bool keeps_text = true;  // false: only counts; then files that the index knows are not read
  bool allows_secrets = false;
  fs::path index;  // where an index may lie; empty: none
  int64_t now_unix_seconds = 0;
};

struct SourceSections {
  std::vector<Section> sections;      // empty unless the text is kept
  std::vector<SourceRecord> records;  // one per directive
  std::vector<TreeConfigFound> configs;
  std::vector<FoundSecret> secrets;
  std::vector<Warning> warnings;
  SourceIndex index;       // of this pass
  int64_t files_read = 0;  // the others were known
  bool has_weights = false;
  bool index_has_changed = false;
};

// Throws Error(kTrain) for a path that is missing, that leaves the document's folder under policy
// strict, or when there is more text than kMaxSourceBytes; Error(kIo) for folders that cannot be
// read; Error(kParse) for a pattern that is too long.
SourceSections read_sources(const Document& document, const SourceOptions& options);

}  // namespace dlm
