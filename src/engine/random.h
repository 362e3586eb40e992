// Counter-based random numbers: each draw is a hash of its key, so a result never depends on the
// order of draws, the thread that makes them, or where a run was resumed.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace dlm {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection with full avalanche.
constexpr uint64_t mix64(uint64_t z) {
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// Hash of a tuple, for example {seed, epoch, row id, token, layer, op}.
constexpr uint64_t random_key(std::initializer_list<uint64_t> parts) {
  uint64_t key = 0x6a09e667f3bcc908ULL;
  for (const uint64_t part : parts) key = mix64(key ^ part);
  return key;
}

// Uniform in [0, 1) with 53 bits.
constexpr double uniform(uint64_t key) {
  return static_cast<double>(mix64(key) >> 11) * 0x1.0p-53;
}

// Standard normal by Box-Muller on two hashes of the key.
double normal(uint64_t key);

}  // namespace dlm
