// A home folder, a tiny base and documents for the tests of training.
#pragma once

#include <gtest/gtest.h>

#include "fixed_clock.h"
#include "store/store_layout.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/interrupt.h"
#include "temporary_folder.h"
#include "tiny_base.h"
#include "train/run.h"

namespace dlm {

inline constexpr const char* kTestId = "01KPG0GVBVZZZZZZZZZZZZZZZZ";

// Frontmatter with further lines below `training`, each with its two blanks.
inline std::string document_text(const std::string& training, const std::string& body) {
  return std::string("---\ndlm_id: ") + kTestId + "\ndlm_version: 15\nbase_model: " + kTinyBaseKey +
         "\n" + (training.empty() ? "" : "training:\n" + training) + "---\n" + body;
}

inline constexpr const char* kThreePairs =
    "::instruction::\n"
    "### Q\nWhat swims in the river?\n\n### A\nThe otter.\n\n"
    "### Q\nWhat stands in the water?\n\n### A\nThe heron.\n\n"
    "### Q\nWhen is the river cold?\n\n### A\nIn the winter.\n";

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

class TrainTest : public ::testing::Test {
 protected:
  // One folder of bases for the whole program; tests that break a base write their own.
  static const BaseSearch& bases() {
    static const TemporaryFolder folder;
    static const BaseSearch search = write_tiny_bases(folder.path());
    return search;
  }

  TrainTest() {
    request_.document = folder_ / "notes.dlm";
    request_.home = folder_ / "home";
    request_.bases = bases();
    request_.clock = &clock_;
    request_.num_threads = 1;
  }
  ~TrainTest() override { clear_interrupt(); }

  void write_document(const std::string& training, const std::string& body) {
    write_file_atomic(request_.document, document_text(training, body));
  }
  TrainResult train(const TrainEvents& events = {}) { return train_document(request_, events); }
  StoreLayout store() const { return StoreLayout(request_.home, kTestId); }

  // What train() throws, its place with the test's folder shown as HERE.
  std::string fault(const TrainEvents& events = {}) {
    try {
      train(events);
    } catch (const Error& error) {
      kind_ = error.kind();
      hint_ = error.hint();
      std::string text = error.what();
      const std::string root = folder_.path().string();
      for (size_t at; (at = text.find(root)) != text.npos;) text.replace(at, root.size(), "HERE");
      return text;
    }
    return "no error";
  }

  TemporaryFolder folder_;
  FixedClock clock_{1'776'506'400'000'000};  // 2026-04-18T10:00:00Z
  TrainRequest request_;
  ErrorKind kind_ = ErrorKind::kInternal;
  std::string hint_;
};

}  // namespace dlm
