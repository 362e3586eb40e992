#include "data/near_duplicates.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <utility>

#include "data/words.h"

namespace dlm {

namespace {

constexpr double kNearlyTheSame = 0.7;
// Twelve bands of three hashes propose 99.3 % of the pairs at 0.7 (1 - (1 - 0.7^3)^12), and all but
// a few in a million at 0.9.
constexpr size_t kBands = 12, kHashesPerBand = 3;
// Bands whose keys are in memory together.
constexpr size_t kBandsAtOnce = 6;
constexpr size_t kTellingWords = 5;
constexpr double kSimilarQuestion = 0.5;
// So many rows of a group are compared with each row of it.
constexpr size_t kCompared = 16;

using Words = std::vector<uint64_t>;

void sort_unique(Words& words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

// Words and pairs of words that follow on each other. A row without words is known by its bytes.
Words features_of(const ComparedRow& row) {
  Words words = word_hashes(row.question);
  const Words more = word_hashes(row.text);
  words.insert(words.end(), more.begin(), more.end());
  if (words.empty()) return {bytes_hash(row.text)};
  const size_t count = words.size();
  for (size_t i = 1; i < count; ++i) words.push_back(mix64(words[i - 1] * 3 + words[i]));
  return words;
}

// Keys of the bands from `first` on.
using Signature = std::array<uint32_t, kBandsAtOnce>;

Signature signature_of(const Words& features, size_t first_band) {
  std::array<uint32_t, kBandsAtOnce * kHashesPerBand> least;
  least.fill(UINT32_MAX);
  for (const uint64_t feature : features) {
    // Two halves give all hashes (Kirsch and Mitzenmacher, "Less hashing, same performance", 2006).
    const auto high = static_cast<uint32_t>(feature >> 32);
    const auto low = static_cast<uint32_t>(feature) | 1;
    for (size_t i = 0; i < least.size(); ++i) {
      uint32_t hash = high + static_cast<uint32_t>(first_band * kHashesPerBand + i) * low;
      hash = (hash ^ (hash >> 16)) * 0x45d9f3b;
      least[i] = std::min(least[i], hash);
    }
  }
  Signature bands;
  for (size_t b = 0; b < bands.size(); ++b) {
    uint64_t key = first_band + b;
    for (size_t i = 0; i < kHashesPerBand; ++i) key = mix64(key ^ least[b * kHashesPerBand + i]);
    bands[b] = static_cast<uint32_t>(key);
  }
  return bands;
}

using RowNumber = uint32_t;

class Clusters {
 public:
  explicit Clusters(size_t size) : parents_(size) {
    std::iota(parents_.begin(), parents_.end(), RowNumber{0});
  }
  RowNumber first_of(RowNumber row) {
    while (parents_[row] != row) row = parents_[row] = parents_[parents_[row]];
    return row;
  }
  void unite(RowNumber a, RowNumber b) {
    a = first_of(a);
    b = first_of(b);
    parents_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<RowNumber> parents_;
};

template <typename Key>
using Keyed = std::pair<Key, RowNumber>;
using Group = std::vector<RowNumber>;

// Calls `on_group` with the rows, in order, of each key that two or more rows have.
template <typename Key>
void for_each_group(std::vector<Keyed<Key>> keyed,
                    const std::function<void(const Group&)>& on_group) {
  std::sort(keyed.begin(), keyed.end());
  Group group;
  for (size_t first = 0; first < keyed.size();) {
    group.clear();
    size_t end = first;
    for (; end < keyed.size() && keyed[end].first == keyed[first].first; ++end) {
      group.push_back(keyed[end].second);
    }
    if (group.size() > 1) on_group(group);
    first = end;
  }
}

// Unites each row of a group with those of the first clusters in it that it is like.
void unite_alike(const Group& group, Clusters& clusters,
                 const std::function<bool(RowNumber, RowNumber)>& is_alike) {
  Group compared;
  for (const RowNumber row : group) {
    bool is_new = true;
    for (const RowNumber other : compared) {
      if (clusters.first_of(row) != clusters.first_of(other) && is_alike(row, other)) {
        clusters.unite(row, other);
      }
      is_new = is_new && clusters.first_of(row) != clusters.first_of(other);
    }
    if (is_new && compared.size() < kCompared) compared.push_back(row);
  }
}

using RowAt = std::function<ComparedRow(size_t)>;

void unite_near_texts(size_t num_rows, const RowAt& row_at, Clusters& clusters) {
  static_assert(kBands % kBandsAtOnce == 0);
  const auto is_alike = [&](RowNumber a, RowNumber b) {
    Words first = features_of(row_at(a)), second = features_of(row_at(b));
    sort_unique(first);
    sort_unique(second);
    return jaccard(first, second) >= kNearlyTheSame;
  };
  std::vector<Signature> signatures(num_rows);
  for (size_t first = 0; first < kBands; first += kBandsAtOnce) {
    for (size_t i = 0; i < num_rows; ++i) {
      signatures[i] = signature_of(features_of(row_at(i)), first);
    }
    for (size_t band = 0; band < kBandsAtOnce; ++band) {
      std::vector<Keyed<uint32_t>> keyed;
      keyed.reserve(num_rows);
      for (RowNumber i = 0; i < num_rows; ++i) keyed.emplace_back(signatures[i][band], i);
      for_each_group(std::move(keyed),
                     [&](const Group& group) { unite_alike(group, clusters, is_alike); });
    }
  }
}

void unite_equal_questions(size_t num_rows, const RowAt& row_at, Clusters& clusters) {
  std::vector<Keyed<uint64_t>> questions;
  questions.reserve(num_rows);
  for (RowNumber i = 0; i < num_rows; ++i) {
    const Words question = word_hashes(row_at(i).question);
    if (!question.empty()) questions.emplace_back(sequence_hash(question), i);
  }
  for_each_group(std::move(questions), [&](const Group& group) {
    for (const RowNumber row : group) clusters.unite(row, group[0]);
  });
}

void unite_equal_answers(size_t num_rows, const RowAt& row_at, Clusters& clusters) {
  std::vector<Keyed<uint64_t>> answers;
  answers.reserve(num_rows);
  for (RowNumber i = 0; i < num_rows; ++i) {
    const ComparedRow row = row_at(i);
    if (word_hashes(row.question).empty()) continue;
    const Words answer = word_hashes(row.text);
    if (!answer.empty()) answers.emplace_back(sequence_hash(answer), i);
  }
  const auto has_similar_question = [&](RowNumber a, RowNumber b) {
    Words first = word_hashes(row_at(a).question), second = word_hashes(row_at(b).question);
    sort_unique(first);
    sort_unique(second);
    return jaccard(first, second) >= kSimilarQuestion;
  };
  for_each_group(std::move(answers), [&](const Group& group) {
    if (word_hashes(row_at(group[0]).text).size() >= kTellingWords) {
      for (const RowNumber row : group) clusters.unite(row, group[0]);
    } else {
      unite_alike(group, clusters, has_similar_question);
    }
  });
}

}  // namespace

double jaccard(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  size_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    common += a[i] == b[j];
    const bool steps_a = a[i] <= b[j], steps_b = b[j] <= a[i];
    i += steps_a;
    j += steps_b;
  }
  const size_t either = a.size() + b.size() - common;
  return either == 0 ? 1.0 : static_cast<double>(common) / static_cast<double>(either);
}

std::vector<uint32_t> near_duplicate_clusters(size_t num_rows,
                                              const std::function<ComparedRow(size_t)>& row_at) {
  Clusters clusters(num_rows);
  unite_near_texts(num_rows, row_at, clusters);
  unite_equal_questions(num_rows, row_at, clusters);
  unite_equal_answers(num_rows, row_at, clusters);
  std::vector<uint32_t> firsts(num_rows);
  for (RowNumber i = 0; i < num_rows; ++i) firsts[i] = clusters.first_of(i);
  return firsts;
}

}  // namespace dlm
