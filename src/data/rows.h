// From sections to rows: what a document asks the model to learn, before any tokenizer. Prose
// becomes text to continue, each question-answer pair a conversation of two messages. Preference
// and media sections give no rows here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "doc/document.h"
#include "doc/grammar.h"

namespace dlm {

enum class RowKind : uint8_t { kText, kChat };

// Where a row came from. Rows of the replay corpus are never held out for validation.
enum class RowOrigin : uint8_t { kDocument, kSource, kReplay };

// What rows of one section have in common.
struct RowSection {
  std::string id;
  std::string source_path;                  // of its file below the source's root
  std::map<std::string, std::string> tags;  // of source files
  double weight = 1;                        // how often its rows are trained, by its tags
  SharedText content;
};

// Its texts are parts of its section's content. Documents have many rows, so one is small.
class DocumentRow {
 public:
  DocumentRow() = default;
  // Of parts of the section's content.
  static DocumentRow of_prose(std::shared_ptr<const RowSection> section, std::string_view text);
  static DocumentRow of_pair(std::shared_ptr<const RowSection> section, std::string_view question,
                             std::string_view answer);

  std::string_view question() const { return view(question_); }
  std::string_view answer() const { return kind == RowKind::kChat ? view(said_) : ""; }
  // Prose, trimmed.
  std::string_view text() const { return kind == RowKind::kText ? view(said_) : ""; }
  // Of all its texts.
  size_t num_bytes() const { return size_t{question_.size} + said_.size; }

  // Never null; where it is replaced, the other has the same content.
  std::shared_ptr<const RowSection> section = no_section();
  int32_t line = 0;       // in the document
  int32_t sub_index = 0;  // occurrence number within its section id, from 0
  RowKind kind = RowKind::kText;
  RowOrigin origin = RowOrigin::kDocument;
  bool is_probe = false;

 private:
  struct Part {
    uint32_t begin = 0;
    uint32_t size = 0;
  };
  static std::shared_ptr<const RowSection> no_section();
  Part part(std::string_view piece) const;
  std::string_view view(Part part) const {
    return section->content.view().substr(part.begin, part.size);
  }

  Part question_;
  Part said_;  // the answer, or the prose
};

struct DocumentRows {
  std::vector<DocumentRow> rows;  // in document order
  int64_t num_text = 0;
  int64_t num_chat = 0;
  int64_t num_preference_sections = 0;  // not trained by supervised rows
  int64_t num_media_sections = 0;
};

// Throws Error(kParse) with the line for a section whose grammar is broken.
DocumentRows rows_of(const Document& document);

// The number in [0, 2^64) that decides on which side of the split (seed, id, index) falls.
uint64_t split_bucket(int64_t seed, std::string_view id, int64_t index);
// Whether a bucket is among the first `fraction` of all.
bool is_held_out(uint64_t bucket, double fraction);

// Whether the row belongs to validation: a hash of (seed, section id, sub index), so that adding
// sections never moves a row. About `fraction` of the rows do.
bool is_validation_row(const DocumentRow& row, int64_t seed, double fraction);

}  // namespace dlm
