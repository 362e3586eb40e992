// A parsed document: frontmatter and sections, with all warnings. Reading never changes the file,
// mints an id or looks at other files.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "doc/frontmatter.h"
#include "doc/section.h"
#include "doc/warning.h"
#include "support/file.h"

namespace dlm {

struct Document {
  Frontmatter frontmatter;
  std::vector<Section> sections;
  std::vector<Warning> warnings;
  fs::path path;
  std::string sha256_of_bytes;  // of the file as it lies on disk
};

// Sections are parts of `bytes` where line ends are LF. Throws Error(kEncoding) for bytes that are
// no UTF-8 text, else Error(kParse), with the place in `path` (empty: "<text>").
Document parse_document(const SharedText& bytes, std::string path);

inline constexpr size_t kMaxDocumentBytes = size_t{64} << 20;

// Reads the file (at most kMaxDocumentBytes). Throws Error(kIo) and what parse_document throws.
Document load_document(const fs::path& path);

// The id alone, of a document that may be broken in other places. Throws what parse_document
// throws.
std::string read_document_id(std::string_view bytes, const std::string& path);

// The stages, for tools that stop in between.

// Valid UTF-8 with LF line ends and without BOM.
std::string decode_document(std::string_view bytes, WarningSink& warnings);

struct DocumentParts {
  std::string_view yaml;  // without a final LF; begins on line 2
  std::string_view body;
  int body_line = 0;  // file line of the first line of `body`
};
// Cuts at the two lines of exactly three hyphens.
DocumentParts split_document(std::string_view text, const std::string& path);

}  // namespace dlm
