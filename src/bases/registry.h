// The bases that dlm knows by a short key: who publishes each, under which licence, how large it
// is. One table and nothing else; it never looks at the disk or the network (locate.h does the
// first).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace dlm {

struct BaseInfo {
  std::string_view key;           // "smollm2-135m", as documents write it
  std::string_view display_name;  // "SmolLM2 135M Instruct"
  std::string_view hf_id;         // "HuggingFaceTB/SmolLM2-135M-Instruct"; empty for a bundled base
  std::string_view revision;      // pinned commit, 40 hex digits; empty for a bundled base
  std::string_view architecture;  // as config.json names it
  std::string_view license;       // SPDX, or "Other" and "Gemma" for licences without a name there
  bool needs_acceptance;          // the publisher asks for consent to the licence
  int64_t params;
  int64_t context_length;  // tokens
  int64_t recommended_sequence_len;
};

// Null when no base has that key. Keys are exact: lower case, no blanks.
const BaseInfo* find_base(std::string_view key);

// In the order of listings: the bundled base first.
const std::vector<BaseInfo>& known_bases();
std::vector<std::string> base_keys();

// The sizes of a base's decoder without its files, for predictions and for measuring speed.
ModelConfig shapes_of(const BaseInfo& base);

}  // namespace dlm
