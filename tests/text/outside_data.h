// Where tests on outside data find their cases: the folder in the environment variable
// DLM_TEST_DATA. It lists and reads; what a case means is the test's business.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/file.h"
#include "support/json.h"

namespace dlm {

// Folders below `tokenizers` that hold a file of this name, relative to it, sorted; none without
// data.
inline std::vector<std::string> folders_with(const std::string& file_name) {
  const char* root = std::getenv("DLM_TEST_DATA");
  std::vector<std::string> folders;
  if (root == nullptr) return folders;
  const fs::path top = fs::path(root) / "tokenizers";
  if (!fs::is_directory(top)) return folders;
  for (const auto& entry : fs::recursive_directory_iterator(top)) {
    if (entry.path().filename() == file_name) {
      folders.push_back(fs::relative(entry.path().parent_path(), top).string());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

inline fs::path tokenizer_folder(const std::string& name) {
  return fs::path(std::getenv("DLM_TEST_DATA")) / "tokenizers" / name;
}

inline std::vector<Json> read_json_lines(const fs::path& path) {
  std::vector<Json> lines;
  const std::string text = read_file(path);
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    if (end > at) lines.push_back(parse_json(text.substr(at, end - at), path.string()));
    at = end + 1;
  }
  return lines;
}

// A test name may hold letters, digits and underscores only.
inline std::string test_name(const std::string& folder) {
  std::string name;
  for (const char c : folder) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    name += plain ? c : '_';
  }
  return name;
}

}  // namespace dlm
