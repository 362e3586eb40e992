#include "data/split.h"

#include <algorithm>
#include <string>

#include "data/rows.h"
#include "support/hash.h"

namespace dlm {

namespace {

// As a section's id: the first 16 hex digits of SHA-256, over question and text.
std::string content_id(const ComparedRow& row) {
  Sha256 hash;
  hash.update(row.question);
  hash.update(std::string_view("\0", 1));
  hash.update(row.text);
  return hash.hex().substr(0, 16);
}

}  // namespace

std::vector<bool> held_out_rows(std::span<const SplitRow> rows, int64_t seed, double fraction) {
  std::vector<ComparedRow> contents;
  contents.reserve(rows.size());
  for (const SplitRow& row : rows) contents.push_back(row.content);
  const std::vector<size_t> cluster_of = near_duplicate_clusters(contents);

  struct Cluster {
    std::string id;  // the least of its rows' ids
    size_t size = 0;
    bool must_train = false;
  };
  std::vector<Cluster> clusters(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    Cluster& cluster = clusters[cluster_of[i]];
    std::string id = content_id(rows[i].content);
    if (cluster.size++ == 0 || id < cluster.id) cluster.id = std::move(id);
    cluster.must_train = cluster.must_train || rows[i].must_train;
  }
  std::vector<bool> held_out(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const Cluster& cluster = clusters[cluster_of[i]];
    held_out[i] = !cluster.must_train && cluster.size <= kLargestHeldOutCluster &&
                  is_held_out(split_bucket(seed, cluster.id, 0), fraction);
  }
  if (std::all_of(held_out.begin(), held_out.end(), [](bool held) { return held; })) {
    held_out.assign(rows.size(), false);
  }
  return held_out;
}

}  // namespace dlm
