// The example documents and the prompts that must not bring their answers: what quickstart.sh rests
// on. Training them is the business of other tests.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "bases/registry.h"
#include "doc/document.h"
#include "doc/grammar.h"
#include "support/file.h"
#include "support/text.h"

namespace dlm {
namespace {

const fs::path kExamples = fs::path(DLM_SOURCE_ROOT) / "examples";

// Words that say nothing about a subject: articles, pronouns, prepositions, auxiliaries, question
// words.
const std::set<std::string, std::less<>> kStopWords = {
    "a",     "about", "after", "all",  "an",    "and",   "any",   "are",   "as",     "at",
    "be",    "been",  "but",   "by",   "can",   "could", "did",   "do",    "does",   "for",
    "from",  "had",   "has",   "have", "he",    "her",   "his",   "how",   "i",      "if",
    "in",    "into",  "is",    "it",   "its",   "may",   "me",    "must",  "my",     "no",
    "not",   "of",    "on",    "one",  "or",    "our",   "shall", "she",   "should", "so",
    "such",  "than",  "that",  "the",  "their", "them",  "then",  "there", "they",   "this",
    "those", "to",    "us",    "was",  "we",    "were",  "what",  "when",  "where",  "which",
    "who",   "whom",  "why",   "will", "with",  "would", "you",   "your"};

std::set<std::string> content_words(std::string_view text) {
  std::set<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty() && !kStopWords.contains(word)) words.insert(word);
    word.clear();
  };
  for (const char c : lower_ascii(text)) {
    if (c >= 'a' && c <= 'z') {
      word += c;
    } else if (c != '\'') {
      end_word();
    }
  }
  end_word();
  return words;
}

size_t num_words(const std::string& text) {
  std::istringstream in(text);
  size_t count = 0;
  for (std::string word; in >> word;) ++count;
  return count;
}

std::string first_words(const std::string& text, size_t count) {
  std::istringstream in(text);
  std::string words;
  for (std::string word; count > 0 && in >> word; --count) words += word + " ";
  return words;
}

std::vector<Document> example_documents() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(kExamples)) {
    if (entry.path().extension() == ".dlm") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Document> documents;
  for (const fs::path& path : paths) documents.push_back(load_document(path));
  return documents;
}

std::vector<QaPair> pairs_of(const Document& document) {
  std::vector<QaPair> all;
  for (const Section& section : document.sections) {
    if (section.type != SectionType::kInstruction) continue;
    for (QaPair& pair : parse_instruction(section, document.path.string())) all.push_back(pair);
  }
  return all;
}

std::vector<std::string> unrelated_prompts() {
  std::vector<std::string> prompts;
  std::istringstream in(read_file(kExamples / "unrelated_prompts.txt"));
  for (std::string line; std::getline(in, line);) prompts.push_back(line);
  return prompts;
}

TEST(Examples, AreTwoDocumentsWithoutWarningsOnTheBundledBase) {
  const std::vector<Document> documents = example_documents();
  ASSERT_GE(documents.size(), 2U);
  std::set<std::string> ids;
  for (const Document& document : documents) {
    EXPECT_TRUE(document.warnings.empty()) << document.path;
    EXPECT_EQ(document.frontmatter.base_model, known_bases().front().key);
    EXPECT_EQ(document.frontmatter.written_version, 15);
    EXPECT_TRUE(ids.insert(document.frontmatter.dlm_id).second) << document.path;
  }
}

TEST(Examples, LeaveEveryTrainingSettingToThePlanner) {
  for (const Document& document : example_documents()) {
    EXPECT_FALSE(document.frontmatter.was_written("training")) << document.path;
  }
}

TEST(Examples, HoldProseAndAtLeastTwelvePairs) {
  for (const Document& document : example_documents()) {
    EXPECT_GE(pairs_of(document).size(), 12U) << document.path;
    ASSERT_EQ(document.sections.front().type, SectionType::kProse) << document.path;
    EXPECT_GE(num_words(document.sections.front().content.str()), 80U) << document.path;
  }
}

TEST(Examples, AskDistinctQuestionsWithDistinctShortAnswers) {
  for (const Document& document : example_documents()) {
    std::set<std::string> questions;
    std::set<std::string> beginnings;
    for (const QaPair& pair : pairs_of(document)) {
      EXPECT_TRUE(questions.insert(pair.question.str()).second) << pair.question;
      // A leak is known by an answer's first five words, so these must be the answer's own.
      EXPECT_TRUE(beginnings.insert(first_words(pair.answer.str(), 5)).second) << pair.answer;
      EXPECT_GE(num_words(pair.answer.str()), 5U) << pair.answer;
      EXPECT_LE(num_words(pair.answer.str()), 25U) << pair.answer;
      EXPECT_EQ(pair.answer.view().find('\n'), std::string::npos) << pair.answer;
    }
  }
}

TEST(Examples, AreOfDifferentSubjects) {
  std::set<std::string> answers;
  size_t num_pairs = 0;
  for (const Document& document : example_documents()) {
    for (const QaPair& pair : pairs_of(document)) {
      answers.insert(pair.answer.str());
      ++num_pairs;
    }
  }
  EXPECT_EQ(answers.size(), num_pairs);
}

TEST(UnrelatedPrompts, AreTenAndDistinct) {
  const std::vector<std::string> prompts = unrelated_prompts();
  EXPECT_EQ(prompts.size(), 10U);
  EXPECT_EQ(std::set<std::string>(prompts.begin(), prompts.end()).size(), 10U);
}

TEST(UnrelatedPrompts, ShareNoContentWordWithAnyExample) {
  for (const Document& document : example_documents()) {
    const std::set<std::string> known = content_words(read_file(document.path));
    ASSERT_GE(known.size(), 100U) << document.path;
    for (const std::string& prompt : unrelated_prompts()) {
      const std::set<std::string> words = content_words(prompt);
      EXPECT_FALSE(words.empty()) << prompt;
      for (const std::string& word : words) {
        EXPECT_FALSE(known.contains(word))
            << document.path << " has \"" << word << "\": " << prompt;
      }
    }
  }
}

}  // namespace
}  // namespace dlm
