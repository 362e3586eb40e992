// What lies on this machine of a base: where, how much, whether it is whole, and whether its bytes
// are those that were published.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bases/locate.h"

namespace dlm {

struct BasePresence {
  bool is_whole = false;
  bool is_partial = false;   // something lies there that cannot be used as it is
  fs::path folder;           // of a whole base
  std::string problem;       // of a partial one
  uint64_t bytes = 0;        // of its files
  bool is_in_cache = false;  // of the hub, from which it may be removed
};

BasePresence find_presence(std::string_view base, const BaseSearch& search);

// hf:org/name@commit of every whole base in the cache that no key stands for.
std::vector<std::string> other_cached_bases(const BaseSearch& search);

struct CheckedFile {
  enum class State { kIntact, kDamaged, kUnknown };  // kUnknown: no digest is known for it
  std::string name;
  uint64_t bytes = 0;
  State state = State::kUnknown;
};

// Reads every file of a base in the cache and compares it with the digest that it is kept under.
// Files in another folder have no published digest.
std::vector<CheckedFile> verify_files(const fs::path& folder, const BaseSearch& search);

// Where in the cache a base lies or would lie, whole or not; empty for one that has no place there.
struct CachedPlace {
  std::string repository;
  std::string commit;
};
CachedPlace cached_place(std::string_view base, const BaseSearch& search);

}  // namespace dlm
