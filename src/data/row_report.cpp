#include "data/row_report.h"

#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "data/words.h"
#include "support/hash.h"

namespace dlm {

namespace {

constexpr size_t kMostWarnings = 20;

std::string row_digest(const DocumentRow& row) {
  Sha256 hash;
  hash.update(row.kind == RowKind::kText ? row.text : row.question);
  hash.update(std::string_view(row.kind == RowKind::kText ? "\1" : "\2"));
  hash.update(row.answer);
  return hash.hex();
}

// Warnings of one kind, the first ones in full.
class Warnings {
 public:
  explicit Warnings(const char* more) : more_(more) {}
  void add(const Place& place, const std::string& message) {
    if (++count_ <= kMostWarnings) {
      shown_.push_back({message, place});
    } else {
      shown_.resize(kMostWarnings);
      shown_.push_back({std::to_string(count_ - kMostWarnings) + more_, {place.path, 0, 0}});
    }
  }
  std::vector<Warning> take() { return std::move(shown_); }

 private:
  const char* more_;
  size_t count_ = 0;
  std::vector<Warning> shown_;
};

std::string at_line(const DocumentRow& row) {
  if (!row.source_path.empty()) return "in " + row.source_path;
  return row.line > 0 ? "at line " + std::to_string(row.line) : "in another place";
}

}  // namespace

std::vector<Warning> drop_repeated_rows(DocumentRows& rows, const std::string& document_path) {
  Warnings repeated(" more rows stand there twice and are trained once");
  Warnings contradicted(" more questions have other answers too");
  std::map<std::string, size_t> first_rows;    // by digest, index in `kept`
  std::map<uint64_t, size_t> first_questions;  // by its words
  std::vector<DocumentRow> kept;
  kept.reserve(rows.rows.size());
  for (DocumentRow& row : rows.rows) {
    const bool is_chat = row.kind == RowKind::kChat;
    const Place place{row.source_path.empty() ? document_path : row.source_path, row.line,
                      row.line > 0 ? 1 : 0};
    const auto [same, is_new] = first_rows.emplace(row_digest(row), kept.size());
    if (!is_new) {
      DocumentRow& first = kept[same->second];
      first.is_probe = first.is_probe || row.is_probe;
      --(is_chat ? rows.num_chat : rows.num_text);
      if (row.origin != RowOrigin::kReplay) {
        repeated.add(place, std::string("this ") + (is_chat ? "pair" : "text") + " stands " +
                                at_line(first) + " already; it is trained once");
      }
      continue;
    }
    if (is_chat && row.origin != RowOrigin::kReplay) {
      const uint64_t question = sequence_hash(word_hashes(row.question));
      const auto [asked, is_first] = first_questions.emplace(question, kept.size());
      if (!is_first && word_hashes(kept[asked->second].answer) != word_hashes(row.answer)) {
        contradicted.add(place, "this question has another answer " + at_line(kept[asked->second]) +
                                    "; both are trained");
      }
    }
    kept.push_back(std::move(row));
  }
  rows.rows = std::move(kept);
  std::vector<Warning> all = repeated.take();
  for (Warning& warning : contradicted.take()) all.push_back(std::move(warning));
  return all;
}

}  // namespace dlm
