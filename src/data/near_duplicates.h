// Rows that say the same in almost the same words, so that they can be kept on one side of a split.
// Found without comparing all with all: MinHash over words and pairs of words (Broder, "On the
// resemblance and containment of documents", 1997) proposes, the exact Jaccard index decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace dlm {

struct ComparedRow {
  std::string_view question;  // empty for prose
  std::string_view text;      // the answer, or the prose
};

// For each row the first row of its cluster. Rows are in one cluster when
// - the words of question and text together are nearly the same (Jaccard index from 0.7 on),
// - the words of their questions are the same, or
// - the words of their answers are, and the answer has five words or more, or half of the words of
//   the questions are the same.
// and so are rows that are linked by others. Which rows are linked does not depend on their order,
// but for rows of which very many have the same short answer.
//
// `row_at` gives the texts of row i; they stay where they are, since documents have many rows.
std::vector<uint32_t> near_duplicate_clusters(size_t num_rows,
                                              const std::function<ComparedRow(size_t i)>& row_at);

// Share of equal elements of two sets, each sorted.
double jaccard(std::span<const uint64_t> a, std::span<const uint64_t> b);

}  // namespace dlm
