#include "data/row_report.h"

#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "data/words.h"

namespace dlm {

namespace {

constexpr size_t kMostWarnings = 20;

// Order of rows by what is trained, so that a set of their numbers finds the same ones without
// holding their text again.
class ByContent {
 public:
  explicit ByContent(const std::vector<DocumentRow>& rows) : rows_(&rows) {}
  bool operator()(size_t a, size_t b) const { return content((*rows_)[a]) < content((*rows_)[b]); }

 private:
  static std::tuple<const RowKind&, const std::string&, const std::string&> content(
      const DocumentRow& row) {
    return {row.kind, row.kind == RowKind::kText ? row.text : row.question, row.answer};
  }
  const std::vector<DocumentRow>* rows_;
};

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
  std::vector<DocumentRow>& all_rows = rows.rows;
  size_t num_kept = 0;  // they lie in front
  std::set<size_t, ByContent> first_rows{ByContent(all_rows)};
  std::map<uint64_t, size_t> first_questions;  // by its words
  for (size_t i = 0; i < all_rows.size(); ++i) {
    if (i != num_kept) all_rows[num_kept] = std::move(all_rows[i]);
    const DocumentRow& row = all_rows[num_kept];
    const bool is_chat = row.kind == RowKind::kChat;
    const Place place{row.source_path.empty() ? document_path : row.source_path, row.line,
                      row.line > 0 ? 1 : 0};
    const auto [same, is_new] = first_rows.insert(num_kept);
    if (!is_new) {
      DocumentRow& first = all_rows[*same];
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
      const auto [asked, is_first] = first_questions.emplace(question, num_kept);
      const DocumentRow& first = all_rows[asked->second];
      if (!is_first && word_hashes(first.answer) != word_hashes(row.answer)) {
        contradicted.add(place,
                         "this question has another answer " + at_line(first) + "; both are trained");
      }
    }
    ++num_kept;
  }
  all_rows.erase(all_rows.begin() + static_cast<std::ptrdiff_t>(num_kept), all_rows.end());
  std::vector<Warning> all = repeated.take();
  for (Warning& warning : contradicted.take()) all.push_back(std::move(warning));
  return all;
}

}  // namespace dlm
