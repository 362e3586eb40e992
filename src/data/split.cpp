#include "data/split.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "data/rows.h"
#include "support/hash.h"

namespace dlm {

namespace {

// As a section's id: the first 16 hex digits of SHA-256, over question and text; here as a number.
uint64_t content_id(const ComparedRow& row) {
  Sha256 hash;
  hash.update(row.question);
  hash.update(std::string_view("\0", 1));
  hash.update(row.text);
  const std::string hex = hash.hex();
  uint64_t id = 0;
  std::from_chars(hex.data(), hex.data() + 16, id, 16);
  return id;
}

}  // namespace

std::vector<bool> held_out_rows(size_t num_rows, const std::function<SplitRow(size_t)>& row_at,
                                int64_t seed, double fraction) {
  const std::vector<uint32_t> cluster_of =
      near_duplicate_clusters(num_rows, [&](size_t i) { return row_at(i).content; });

  struct Cluster {
    uint64_t id = 0;  // the least of its rows' ids
    uint32_t size = 0;
    bool must_train = false;
  };
  std::vector<Cluster> clusters(num_rows);
  for (size_t i = 0; i < num_rows; ++i) {
    Cluster& cluster = clusters[cluster_of[i]];
    const SplitRow row = row_at(i);
    const uint64_t id = content_id(row.content);
    if (cluster.size++ == 0 || id < cluster.id) cluster.id = id;
    cluster.must_train = cluster.must_train || row.must_train;
  }
  std::vector<bool> held_out(num_rows);
  for (size_t i = 0; i < num_rows; ++i) {
    const Cluster& cluster = clusters[cluster_of[i]];
    held_out[i] = !cluster.must_train && cluster.size <= kLargestHeldOutCluster &&
                  is_held_out(split_bucket(seed, fmt::format("{:016x}", cluster.id), 0), fraction);
  }
  if (std::all_of(held_out.begin(), held_out.end(), [](bool held) { return held; })) {
    held_out.assign(num_rows, false);
  }
  return held_out;
}

}  // namespace dlm
