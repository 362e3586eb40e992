#include "data/near_duplicates.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "data/words.h"

namespace dlm {

namespace {

constexpr double kNearlyTheSame = 0.7;
// Twelve bands of three hashes propose 99.3 % of the pairs at 0.7 (1 - (1 - 0.7^3)^12), and all but
// a few in a million at 0.9.
constexpr size_t kBands = 12, kHashesPerBand = 3;
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

using Signature = std::array<uint32_t, kBands>;

Signature signature_of(const Words& features) {
  std::array<uint32_t, kBands * kHashesPerBand> least;
  least.fill(UINT32_MAX);
  for (const uint64_t feature : features) {
    // Two halves give all hashes (Kirsch and Mitzenmacher, "Less hashing, same performance", 2006).
    const auto high = static_cast<uint32_t>(feature >> 32);
    const auto low = static_cast<uint32_t>(feature) | 1;
    for (size_t i = 0; i < least.size(); ++i) {
      uint32_t hash = high + static_cast<uint32_t>(i) * low;
      hash = (hash ^ (hash >> 16)) * 0x45d9f3b;
      least[i] = std::min(least[i], hash);
    }
  }
  Signature bands;
  for (size_t b = 0; b < kBands; ++b) {
    uint64_t key = b;
    for (size_t i = 0; i < kHashesPerBand; ++i) key = mix64(key ^ least[b * kHashesPerBand + i]);
    bands[b] = static_cast<uint32_t>(key);
  }
  return bands;
}

class Clusters {
 public:
  explicit Clusters(size_t size) : parents_(size) {
    std::iota(parents_.begin(), parents_.end(), size_t{0});
  }
  size_t first_of(size_t row) {
    while (parents_[row] != row) row = parents_[row] = parents_[parents_[row]];
    return row;
  }
  void unite(size_t a, size_t b) {
    a = first_of(a);
    b = first_of(b);
    parents_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parents_;
};

using Keyed = std::pair<uint64_t, size_t>;  // key, row

// Calls `on_group` with the rows of each key that two or more rows have.
void for_each_group(std::vector<Keyed>& keyed,
                    const std::function<void(std::span<const Keyed>)>& on_group) {
  std::sort(keyed.begin(), keyed.end());
  for (size_t first = 0; first < keyed.size();) {
    size_t end = first + 1;
    while (end < keyed.size() && keyed[end].first == keyed[first].first) ++end;
    if (end - first > 1) on_group(std::span(keyed).subspan(first, end - first));
    first = end;
  }
}

// Unites each row of a group with those of the first clusters in it that it is like.
void unite_alike(std::span<const Keyed> group, Clusters& clusters,
                 const std::function<bool(size_t, size_t)>& is_alike) {
  std::vector<size_t> compared;
  for (const auto& [key, row] : group) {
    bool is_new = true;
    for (const size_t other : compared) {
      if (clusters.first_of(row) != clusters.first_of(other) && is_alike(row, other)) {
        clusters.unite(row, other);
      }
      is_new = is_new && clusters.first_of(row) != clusters.first_of(other);
    }
    if (is_new && compared.size() < kCompared) compared.push_back(row);
  }
}

void unite_near_texts(std::span<const ComparedRow> rows, Clusters& clusters) {
  std::vector<Signature> signatures(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) signatures[i] = signature_of(features_of(rows[i]));
  const auto is_alike = [&](size_t a, size_t b) {
    Words first = features_of(rows[a]), second = features_of(rows[b]);
    sort_unique(first);
    sort_unique(second);
    return jaccard(first, second) >= kNearlyTheSame;
  };
  for (size_t band = 0; band < kBands; ++band) {
    std::vector<Keyed> keyed;
    keyed.reserve(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) keyed.emplace_back(signatures[i][band], i);
    for_each_group(keyed, [&](auto group) { unite_alike(group, clusters, is_alike); });
  }
}

void unite_equal_questions_and_answers(std::span<const ComparedRow> rows, Clusters& clusters) {
  std::vector<Keyed> questions, answers;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Words question = word_hashes(rows[i].question);
    if (question.empty()) continue;
    questions.emplace_back(sequence_hash(question), i);
    const Words answer = word_hashes(rows[i].text);
    if (!answer.empty()) answers.emplace_back(sequence_hash(answer), i);
  }
  for_each_group(questions, [&](auto group) {
    for (const auto& [key, row] : group) clusters.unite(row, group[0].second);
  });
  const auto has_similar_question = [&](size_t a, size_t b) {
    Words first = word_hashes(rows[a].question), second = word_hashes(rows[b].question);
    sort_unique(first);
    sort_unique(second);
    return jaccard(first, second) >= kSimilarQuestion;
  };
  for_each_group(answers, [&](auto group) {
    if (word_hashes(rows[group[0].second].text).size() >= kTellingWords) {
      for (const auto& [key, row] : group) clusters.unite(row, group[0].second);
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

std::vector<size_t> near_duplicate_clusters(std::span<const ComparedRow> rows) {
  Clusters clusters(rows.size());
  unite_near_texts(rows, clusters);
  unite_equal_questions_and_answers(rows, clusters);
  std::vector<size_t> firsts(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) firsts[i] = clusters.first_of(i);
  return firsts;
}

}  // namespace dlm
