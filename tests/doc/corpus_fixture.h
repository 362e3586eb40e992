// What the conformance tests share: finding the corpus, running a document stage by stage, and
// comparing it with what expected.json says.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "doc/document.h"
#include "doc/serialize.h"
#include "support/json.h"

namespace dlm {

// A finding, with the error class that the first program has for the stage.
struct Fault {
  std::string error_class;
  Error error;
};

struct Outcome {
  std::optional<Document> document;
  std::optional<Fault> fault;
};

using Fields = std::map<std::string, std::string>;

// Runs the stages one by one, to know where a document fails.
Outcome run_stages(const std::string& bytes, const std::string& path);
// The first section whose body breaks its grammar.
std::optional<Fault> find_body_fault(const Document& document);
const Json* find_document(const Json& expected, const std::string& file);
// "line:column"
std::string place_text(const Error& error);
// A JSON value as the text that YAML would hold.
std::string text_of(const Json& value);
// Dotted path to value, for JSON and for what the serializer writes.
void flatten(const Json& value, const std::string& path, Fields& fields);
Fields fields_of(const Frontmatter& frontmatter, const SerializeOptions& options);
// Every field with its value, defaults too; null and lists that have their default are absent.
Fields all_fields(Frontmatter frontmatter);

class Corpus : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("DLM_TEST_DATA");
    if (!data) GTEST_SKIP() << "skipped: DLM_TEST_DATA is not set";
    folder_ = fs::path(data) / "corpus";
    if (!fs::exists(folder_ / "expected.json")) {
      GTEST_SKIP() << "skipped: no corpus/expected.json in DLM_TEST_DATA";
    }
  }

  std::vector<std::string> list(const std::string& kind) const {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_ / kind)) {
      files.push_back(kind + "/" + entry.path().filename().string());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  Json expected(const std::string& name) const { return parse_json(read_file(folder_ / name)); }
  std::string bytes(const std::string& file) const { return read_file(folder_ / file); }
  Document parse(const std::string& file) const { return parse_document(bytes(file), file); }

  void check_document(const Document& document, const Json& observed, const std::string& file);
  void check_sections(const Document& document, const Json& observed);
  void check_bodies(const Document& document, const Json& observed);
  void check_fault(const Fault& fault, const Json& observed, const std::string& file);
  void check_asserts(const Document& document, const Json& asserts, const std::string& file);
  void check_section_asserts(const Document& document, const Json& asserts);
  void check_round_trip(const Document& document);

  fs::path folder_;
};

}  // namespace dlm
