// From bytes to a document: decode, cut, frontmatter, body. See the header.
#include "doc/document.h"

#include <algorithm>

#include "doc/body_parser.h"
#include "doc/migrate.h"
#include "doc/python_text.h"
#include "support/hash.h"
#include "support/text.h"
#include "support/ulid.h"

namespace dlm {
namespace {

constexpr const char* kInitHint = "'dlm init FILE.dlm' writes a document to start from";

// Line and column (in bytes) of an offset; LF, CRLF and CR end lines.
Place place_of_offset(std::string_view bytes, size_t offset, const std::string& path) {
  Place place{path, 1, 1};
  for (size_t i = 0; i < offset; ++i) {
    const bool ends_line =
        bytes[i] == '\n' || (bytes[i] == '\r' && (i + 1 == bytes.size() || bytes[i + 1] != '\n'));
    place.line += ends_line ? 1 : 0;
    place.column = ends_line ? 1 : place.column + 1;
  }
  return place;
}

}  // namespace

namespace {

// Throws what decode_document throws.
void check_text(std::string_view bytes, WarningSink& warnings) {
  if (bytes.empty()) {
    throw Error(ErrorKind::kParse, "the document is empty", kInitHint,
                Place{warnings.path(), 1, 1});
  }
  // A NUL near the front of something that does not begin as a document: a binary file.
  if (!bytes.starts_with("---") && bytes.substr(0, 1024).find('\0') != std::string_view::npos) {
    throw Error(ErrorKind::kEncoding, "this is a binary file, not a .dlm document",
                "name a .dlm text file", Place{warnings.path(), 0, 0});
  }
  if (const auto fault = find_utf8_fault(bytes)) {
    throw Error(
        ErrorKind::kEncoding,
        "invalid UTF-8 at byte " + std::to_string(fault->byte_offset) + ": " + fault->reason,
        "a .dlm document is UTF-8 text; save it in that encoding",
        place_of_offset(bytes, fault->byte_offset, warnings.path()));
  }
  if (bytes.starts_with("\xEF\xBB\xBF")) {
    warnings.add("a UTF-8 BOM at the start of the file is ignored", 1, 1);
  }
}

}  // namespace

std::string decode_document(std::string_view bytes, WarningSink& warnings) {
  check_text(bytes, warnings);
  return normalize_newlines(bytes);
}

DocumentParts split_document(std::string_view text, const std::string& path) {
  const size_t first_end = text.find('\n');
  const std::string_view first = text.substr(0, first_end);
  if (first != "---") {
    const bool has_blanks = trim(first) == "---";
    throw Error(
        ErrorKind::kParse, "expected '---' on line 1 to open frontmatter, got " + in_quotes(first),
        has_blanks ? "remove the blanks around the three hyphens" : kInitHint, Place{path, 1, 1});
  }
  size_t start = first_end == std::string_view::npos ? text.size() : first_end + 1;
  const size_t yaml_start = start;
  for (int line = 2; start < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', start), text.size());
    if (text.substr(start, end - start) == "---") {
      DocumentParts parts;
      parts.yaml = text.substr(yaml_start, start > yaml_start ? start - 1 - yaml_start : 0);
      parts.body = text.substr(std::min(end + 1, text.size()));
      parts.body_line = line + 1;
      return parts;
    }
    start = end + 1;
  }
  throw Error(ErrorKind::kParse, "no closing '---' found for frontmatter block",
              "end the frontmatter with a line of exactly three hyphens", Place{path, 1, 1});
}

Document parse_document(const SharedText& bytes, std::string path) {
  WarningSink warnings(path.empty() ? "<text>" : path);
  check_text(bytes, warnings);
  const SharedText text = is_normal_text(bytes) ? bytes : SharedText(normalize_newlines(bytes));
  const DocumentParts parts = split_document(text, warnings.path());
  YamlTree tree = parse_yaml(parts.yaml, 2, warnings);
  const int written_version = migrate_frontmatter(tree, warnings);
  Document document;
  document.frontmatter = read_frontmatter(tree, written_version, warnings);
  document.sections = parse_body(text.part(parts.body), parts.body_line, warnings);
  document.warnings = warnings.take();
  document.path = std::move(path);
  document.sha256_of_bytes = sha256_hex(bytes.view());
  return document;
}

Document load_document(const fs::path& path) {
  return parse_document(read_file(path, kMaxDocumentBytes), path.string());
}

std::string read_document_id(std::string_view bytes, const std::string& path) {
  WarningSink ignored(path);
  const std::string text = decode_document(bytes, ignored);
  const YamlTree tree = parse_yaml(split_document(text, path).yaml, 2, ignored);
  const YamlNode* id = tree.root().find("dlm_id");
  if (id && is_ulid(id->text)) return id->text;
  throw Error(ErrorKind::kParse, "there is no valid dlm_id", kInitHint, Place{path, 0, 0});
}

}  // namespace dlm
