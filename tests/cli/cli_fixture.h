// The program as a child with a home folder and bases of its own.
#pragma once

#include <gtest/gtest.h>

#include "program.h"
#include "support/hash.h"
#include "support/json.h"
#include "support/text.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {

inline constexpr const char* kTestId = "01KPG0GVBVZZZZZZZZZZZZZZZZ";
inline constexpr const char* kPairs =
    "::instruction::\n"
    "### Q\nWhat swims in the river?\n\n### A\nThe otter.\n\n"
    "### Q\nWhat stands in the water?\n\n### A\nThe heron.\n";

inline std::string document_text(const std::string& frontmatter, const std::string& body) {
  return std::string("---\ndlm_id: ") + kTestId + "\ndlm_version: 15\nbase_model: " + kTinyBaseKey +
         "\n" + frontmatter + "---\n" + body;
}

// Each file below `root` with the digest of its bytes.
inline std::map<std::string, std::string> files_of(const fs::path& root) {
  std::map<std::string, std::string> files;
  if (!fs::exists(root)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), root).string()] = sha256_file_hex(entry.path());
  }
  return files;
}

class CliTest : public ::testing::Test {
 protected:
  static fs::path shared_bases() {
    static const TemporaryFolder folder;
    static const BaseSearch search = write_tiny_bases(folder.path());
    return search.own_folder;
  }

  CliTest() {
    options_.environment["DLM_HOME"] = home().string();
    options_.environment["DLM_BASES"] = shared_bases().string();
    options_.environment["DLM_THREADS"] = "1";
  }

  fs::path home() const { return folder_ / "home"; }
  fs::path document() const { return folder_ / "notes.dlm"; }
  fs::path store() const { return home() / "store" / kTestId; }
  void write_document(const std::string& body, const std::string& frontmatter = "") {
    write_file_atomic(document(), document_text(frontmatter, body));
  }

  ProgramResult run(const std::vector<std::string>& arguments) {
    ProgramResult result = Program(arguments, options_).finish();
    EXPECT_EQ(result.signal, 0) << result.err;
    return result;
  }
  // Trains in a second or two and expects success.
  ProgramResult train_shortly() {
    const ProgramResult result = run({"train", document().string(), "--max-steps", "2"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }

  // With the folder of the test shown as HERE.
  std::string shown(std::string text) const {
    for (const auto& [path, name] : {std::pair(folder_.path().string(), std::string("HERE")),
                                     std::pair(shared_bases().string(), std::string("BASES"))}) {
      for (size_t at; (at = text.find(path)) != text.npos;) text.replace(at, path.size(), name);
    }
    return text;
  }

  // Runs and expects exactly this on standard error, nothing on standard output, and every file as
  // it was.
  void expect_refused(const std::vector<std::string>& arguments, int exit_code,
                      const std::string& expected) {
    const auto before = files_of(folder_.path());
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, exit_code);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(shown(result.err), expected);
    EXPECT_EQ(files_of(folder_.path()), before);
  }

  TemporaryFolder folder_;
  ProgramOptions options_;
};

}  // namespace dlm
