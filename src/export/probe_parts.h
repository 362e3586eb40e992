// The probes one by one, in the order in which probe_base() runs them: later ones use what earlier
// ones read, and are skipped where that is missing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bases/registry.h"
#include "data/chat_format.h"
#include "export/base_probes.h"
#include "model/config.h"
#include "support/error.h"

namespace dlm {

struct ProbedBase {
  fs::path folder;
  const BaseInfo* info = nullptr;  // null: not in the registry
  // Read by the probes; absent where they failed.
  std::optional<ModelConfig> config;
  std::optional<Tokenizer> tokenizer;
  std::optional<ChatFormat> format;
  bool has_sound_weights = false;
};

// A family and a rotation that this program computes; of a known base, those of the registry.
Probe probe_architecture(ProbedBase& base);
// By the headers of the weight files: every tensor that the family has, of its shape, and no other.
Probe probe_tensors(ProbedBase& base);
// A kind that this program has, whose tokens and special tokens are rows of the embedding.
Probe probe_tokenizer(ProbedBase& base);
// A conversation is written, and its answer ends with a token that carries loss.
Probe probe_chat_template(ProbedBase& base);
// The label under which GGUF run times know the tokenizer, found by what it makes of a check text.
Probe probe_pre_tokenizer(const ProbedBase& base);
// What an export of this base to each target would meet, whatever the adapter.
std::vector<Probe> probe_exports(const ProbedBase& base);

inline Probe failed_probe(std::string name, const Error& error) {
  return {std::move(name), ProbeState::kFailed, error.what(), error.hint()};
}
inline Probe skipped_probe(std::string name, std::string reason) {
  return {std::move(name), ProbeState::kSkipped, std::move(reason), {}};
}

}  // namespace dlm
