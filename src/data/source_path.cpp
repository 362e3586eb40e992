#include "data/source_path.h"

#include <algorithm>
#include <cstdlib>

#include "support/error.h"

namespace dlm {

namespace {

fs::path expand_home(const std::string& written) {
  if (written != "~" && !written.starts_with("~/")) return written;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    throw Error(ErrorKind::kTrain, "the path begins with ~, but HOME is not set",
                "write the whole path");
  }
  return fs::path(home) / written.substr(std::min<size_t>(2, written.size()));
}

}  // namespace

fs::path source_anchor(const fs::path& document) {
  std::error_code ignored;
  const fs::path folder = document.parent_path();
  fs::path anchor = fs::weakly_canonical(folder.empty() ? fs::path(".") : folder, ignored);
  return anchor.filename() == ".dlm" ? anchor.parent_path() : anchor;
}

SourcePath resolve_source(const std::string& written, const fs::path& anchor,
                          SourcesPolicy policy) {
  if (written.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kTrain, "the path holds a NUL character", "remove it");
  }
  const fs::path path = anchor / expand_home(written);
  std::error_code error;
  SourcePath found;
  found.path = fs::canonical(path, error);
  if (error) {
    const bool is_missing = error == std::errc::no_such_file_or_directory;
    throw Error(ErrorKind::kTrain,
                is_missing ? "path does not exist: " + printable_path(path.string())
                           : "cannot follow the path " + printable_path(path.string()) + ": " +
                                 error.message(),
                "relative paths begin at the folder of the document");
  }
  found.leaves_anchor = !is_inside(found.path, anchor);
  if (found.leaves_anchor && policy == SourcesPolicy::kStrict) {
    throw Error(ErrorKind::kTrain,
                "the path leads out of the document's folder, to " +
                    printable_path(found.path.string()) +
                    ", which sources_policy: strict does not allow",
                "move the document, or write sources_policy: permissive");
  }
  return found;
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

std::string printable_path(std::string_view path) {
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      text += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      text += "\\x";
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace dlm
