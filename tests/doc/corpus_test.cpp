// Conformance documents of the format's first program: a folder with valid/, invalid/, extra/ and
// canonical/ and what each document means. Where we differ on purpose, corpus_differences.h says
// why.
#include <gtest/gtest.h>

#include <iostream>

#include "corpus_differences.h"
#include "corpus_fixture.h"
#include "doc/routing.h"
#include "doc/serialize.h"
#include "support/text.h"

namespace dlm {
namespace {

size_t num_parts() {
  return static_cast<size_t>(
      testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count());
}

TEST_F(Corpus, ReadsValidDocumentsAsTheirTestsSay) {
  const Json all = expected("expected.json");
  const auto files = list("valid");
  ASSERT_FALSE(files.empty());
  size_t passed = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const size_t failures = num_parts();
    const Json* entry = find_document(all, file);
    if (!entry) {
      ADD_FAILURE() << "expected.json says nothing about it";
      continue;
    }
    const Outcome outcome = run_stages(bytes(file), file);
    if (!outcome.document) {
      ADD_FAILURE() << outcome.fault->error.what();
      continue;
    }
    check_document(*outcome.document, entry->at("observed"), file);
    check_asserts(*outcome.document, entry->at("asserts"), file);
    passed += failures == num_parts();
  }
  std::cout << "valid: " << passed << " of " << files.size() << "\n";
}

TEST_F(Corpus, WritesTheCanonicalForm) {
  const auto files = list("canonical");
  ASSERT_FALSE(files.empty());
  size_t equal = 0;
  size_t num_different = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const std::string source = "valid/" + file.substr(file.find('/') + 1);
    const Document document = parse(source);
    const std::string ours =
        serialize_document(document.frontmatter, document.sections, {.keep_written = false});
    if (find_difference(source, "canonical")) {
      EXPECT_NE(ours, bytes(file)) << "no difference left: remove it from the table";
      ++num_different;
      continue;
    }
    EXPECT_EQ(ours, bytes(file));
    equal += ours == bytes(file);
  }
  std::cout << "canonical: " << equal << " of " << files.size() << " equal, " << num_different
            << " different on purpose\n";
}

TEST_F(Corpus, RefusesInvalidDocumentsAtTheirStage) {
  const Json all = expected("expected.json");
  const auto files = list("invalid");
  ASSERT_FALSE(files.empty());
  size_t passed = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const size_t failures = num_parts();
    const Json* entry = find_document(all, file);
    if (!entry) {
      ADD_FAILURE() << "expected.json says nothing about it";
      continue;
    }
    const Json& asserts = entry->at("asserts");
    const Json& observed = entry->at("observed");
    const std::string& stage = entry->at("stage").as_string();
    Outcome outcome = run_stages(bytes(file), file);
    std::optional<Fault> fault = outcome.fault;
    if (stage == "body" || stage == "route" || stage == "expand") {
      ASSERT_TRUE(outcome.document) << outcome.fault->error.what();
      check_document(*outcome.document, observed, file);
      fault = find_body_fault(*outcome.document);
      if (stage == "expand") {  // another room reads the sources
        EXPECT_FALSE(fault);
        ++passed;
        continue;
      }
      if (stage == "route") {
        try {
          check_routing(*outcome.document);
        } catch (const Error& error) {
          fault = Fault{"UnknownAdapterError", error};
        }
      }
    }
    if (!fault) {
      ADD_FAILURE() << "it was accepted";
      continue;
    }
    if (observed.find("error")) check_fault(*fault, observed, file);
    EXPECT_EQ(fault->error_class, asserts.at("error").as_string());
    if (const Json* part = asserts.find("message_contains")) {
      EXPECT_NE(fault->error.message().find(part->as_string()), std::string::npos)
          << fault->error.message();
    }
    if (const Json* line = asserts.find("line")) {
      EXPECT_EQ(fault->error.place().line, line->as_int());
    }
    passed += failures == num_parts();
  }
  std::cout << "invalid: " << passed << " of " << files.size() << "\n";
}

TEST_F(Corpus, ReadsEdgeCasesAsObserved) {
  const Json all = expected("expected_extra.json");
  const auto files = list("extra");
  ASSERT_FALSE(files.empty());
  size_t passed = 0;
  size_t num_different = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const size_t failures = num_parts();
    const Json* entry = find_document(all, file);
    if (!entry) {
      ADD_FAILURE() << "expected_extra.json says nothing about it";
      continue;
    }
    const Json& observed = entry->at("observed");
    const Outcome outcome = run_stages(bytes(file), file);
    if (const Difference* difference = find_difference(file, "outcome")) {
      std::vector<std::string> types;
      if (outcome.document) {
        for (const Section& section : outcome.document->sections) {
          types.push_back(section_type_word(section.type));
        }
        check_round_trip(*outcome.document);
      } else {
        types = {outcome.fault->error_class + " " + place_text(outcome.fault->error)};
      }
      EXPECT_EQ(join(types, ","), difference->ours);
      ++num_different;
      continue;
    }
    if (observed.find("error")) {
      if (outcome.fault) {
        check_fault(*outcome.fault, observed, file);
      } else {
        ADD_FAILURE() << "it was accepted";
      }
    } else if (outcome.document) {
      check_document(*outcome.document, observed, file);
    } else {
      ADD_FAILURE() << outcome.fault->error.what();
    }
    passed += failures == num_parts();
  }
  std::cout << "extra: " << passed << " of " << files.size() << ", " << num_different
            << " with another outcome on purpose\n";
}

}  // namespace
}  // namespace dlm
