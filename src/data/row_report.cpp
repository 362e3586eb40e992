#include "data/row_report.h"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string_view>
#include <tuple>
#include <utility>

#include "data/words.h"

namespace dlm {

namespace {

constexpr size_t kMostWarnings = 20;

using RowNumber = uint32_t;
constexpr RowNumber kNoRow = std::numeric_limits<RowNumber>::max();

std::tuple<RowKind, std::string_view, std::string_view> content(const DocumentRow& row) {
  return {row.kind, row.kind == RowKind::kText ? row.text() : row.question(), row.answer()};
}

// For each row the first one that trains the same; for that one, itself.
std::vector<RowNumber> first_of_same(const std::vector<DocumentRow>& rows) {
  std::vector<RowNumber> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](RowNumber a, RowNumber b) {
    const auto compared = content(rows[a]) <=> content(rows[b]);
    return compared == 0 ? a < b : compared < 0;
  });
  std::vector<RowNumber> first(rows.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const bool is_same = i > 0 && content(rows[order[i - 1]]) == content(rows[order[i]]);
    first[order[i]] = is_same ? first[order[i - 1]] : order[i];
  }
  return first;
}

// For each row of the document that asks what an earlier one asked, by its words: the first of
// them. Repeated rows do not count.
std::vector<RowNumber> first_of_question(const std::vector<DocumentRow>& rows,
                                         const std::vector<RowNumber>& first_same) {
  struct Asked {
    uint64_t question;
    RowNumber row;
    auto operator<=>(const Asked&) const = default;
  };
  std::vector<Asked> asked;
  for (RowNumber i = 0; i < rows.size(); ++i) {
    const DocumentRow& row = rows[i];
    if (row.kind != RowKind::kChat || row.origin == RowOrigin::kReplay || first_same[i] != i) {
      continue;
    }
    asked.push_back({sequence_hash(word_hashes(row.question())), i});
  }
  std::sort(asked.begin(), asked.end());
  std::vector<RowNumber> first(rows.size(), kNoRow);
  for (size_t i = 1, begin = 0; i < asked.size(); ++i) {
    if (asked[i].question != asked[begin].question) begin = i;
    if (i != begin) first[asked[i].row] = asked[begin].row;
  }
  return first;
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
  if (!row.section->source_path.empty()) return "in " + row.section->source_path;
  return row.line > 0 ? "at line " + std::to_string(row.line) : "in another place";
}

}  // namespace

std::vector<Warning> drop_repeated_rows(DocumentRows& rows, const std::string& document_path) {
  Warnings repeated(" more rows stand there twice and are trained once");
  Warnings contradicted(" more questions have other answers too");
  std::vector<DocumentRow>& all_rows = rows.rows;
  const std::vector<RowNumber> first_same = first_of_same(all_rows);
  const std::vector<RowNumber> first_asked = first_of_question(all_rows, first_same);
  for (size_t i = 0; i < all_rows.size(); ++i) {
    const DocumentRow& row = all_rows[i];
    const bool is_chat = row.kind == RowKind::kChat;
    const std::string& source = row.section->source_path;
    const Place place{source.empty() ? document_path : source, row.line, row.line > 0 ? 1 : 0};
    if (first_same[i] != i) {
      DocumentRow& first = all_rows[first_same[i]];
      first.is_probe = first.is_probe || row.is_probe;
      --(is_chat ? rows.num_chat : rows.num_text);
      if (row.origin != RowOrigin::kReplay) {
        repeated.add(place, std::string("this ") + (is_chat ? "pair" : "text") + " stands " +
                                at_line(first) + " already; it is trained once");
      }
    } else if (first_asked[i] != kNoRow) {
      const DocumentRow& first = all_rows[first_asked[i]];
      if (word_hashes(first.answer()) != word_hashes(row.answer())) {
        contradicted.add(
            place, "this question has another answer " + at_line(first) + "; both are trained");
      }
    }
  }
  size_t num_kept = 0;  // they move to the front
  for (size_t i = 0; i < all_rows.size(); ++i) {
    if (first_same[i] != i) continue;
    if (i != num_kept) all_rows[num_kept] = std::move(all_rows[i]);
    ++num_kept;
  }
  all_rows.erase(all_rows.begin() + static_cast<std::ptrdiff_t>(num_kept), all_rows.end());
  std::vector<Warning> all = repeated.take();
  for (Warning& warning : contradicted.take()) all.push_back(std::move(warning));
  return all;
}

}  // namespace dlm
