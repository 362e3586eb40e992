// `dlm reproduce`: trains a version again from what its folder and its base hold, in a temporary
// place, and compares the bytes. The store is only read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/run.h"

namespace dlm {

struct ReproduceRequest {
  fs::path document;  // for the id of its store alone; the version's own copy is trained
  fs::path home;
  BaseSearch bases;
  std::optional<int64_t> version;  // else the current one
  int num_threads = 0;
  const Clock* clock = nullptr;
};

struct Reproduction {
  int64_t version = 0;
  bool is_same = false;
  std::string recorded_sha256;    // of the adapter's weights, by the record
  std::string stored_sha256;      // of the file as it lies in the version's folder
  std::string retrained_sha256;   // empty when nothing could be trained
  std::string determinism_class;  // of the recorded run
  int64_t steps = 0;
  // What is not as it was, in words: what computes, the base, the general rows, the files.
  std::vector<std::string> differences;
  bool document_has_changed = false;  // since; it is the version's copy that counts
  double seconds = 0;
};

// Throws Error(kTrain) for versions without a record, Error(kStore) for those that are not there,
// and what training throws.
Reproduction reproduce_version(const ReproduceRequest& request, const TrainEvents& events);

Json reproduction_json(const Reproduction& r);

}  // namespace dlm
