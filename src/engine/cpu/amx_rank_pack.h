// The low-rank term of an AMX product, packed as its operands are; private to it and compiled with
// its flags.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "engine/cpu/amx_gemm.h"
#include "engine/cpu/amx_pack.h"

namespace dlm::amx {

inline constexpr int64_t kRanks = 16;  // that are packed together

// A low-rank term as a product of bf16 matrices: for every 16 ranks, or those that are left, k
// are U rounded, its rest, U rounded, its rest, beside V rounded, V rounded, its rest, its rest.
inline int64_t steps_of_ranks(int64_t rank) {
  return rank / kRanks * steps_of(4 * kRanks) + steps_of(4 * (rank % kRanks));
}

// A block of U's lines.
inline void pack_block_of_u(const LowRankTerm& term, int64_t line, int64_t m, BF16* to) {
  for (int64_t first = 0; first < term.rank; first += kRanks) {
    const int64_t ranks = std::min(kRanks, term.rank - first);
    for (int64_t step = 0; step < steps_of(4 * ranks); ++step, to += kStep) {
      alignas(64) uint16_t places[kDepth];
      uint32_t filled = 0;
      for (int64_t j = 0; j < kDepth; ++j) {
        const int64_t k = step * kDepth + j;
        places[j] = static_cast<uint16_t>(k % ranks + k / ranks % 2 * kRanks);
        filled |= static_cast<uint32_t>(k < 4 * ranks) << j;
      }
      const __m512i order = _mm512_load_si512(places);
      for (int64_t i = 0; i < kBlock; ++i) {
        const float* u = term.u + (line + i) * term.ldu + first;
        const Halves parts = split(load_floats(u, line + i < m ? ranks : 0));
        const __m512i both =
            _mm512_inserti64x4(_mm512_castsi256_si512(parts.rounded), parts.rest, 1);
        _mm512_store_si512(to + i * kDepth, _mm512_maskz_permutexvar_epi16(filled, order, both));
      }
    }
  }
}

// Columns [0, count) of V from `col` on, at most a panel.
inline void pack_panel_of_v(const LowRankTerm& term, int64_t col, int64_t count,
                            const PairOrder& order, BF16* to) {
  for (int64_t first = 0; first < term.rank; first += kRanks) {
    const int64_t ranks = std::min(kRanks, term.rank - first);
    __m512i rounded[kRanks];
    __m512i rest[kRanks];
    for (int64_t r = 0; r < ranks; ++r) {
      const float* v = term.v + (first + r) * term.ldv + col;
      const Halves left = split(load_floats(v, count));
      const Halves right = split(load_floats(v + kLines, count - kLines));
      rounded[r] = _mm512_inserti64x4(_mm512_castsi256_si512(left.rounded), right.rounded, 1);
      rest[r] = _mm512_inserti64x4(_mm512_castsi256_si512(left.rest), right.rest, 1);
    }
    const auto row = [&](int64_t k) {
      if (k >= 4 * ranks) return _mm512_setzero_si512();
      return k < 2 * ranks ? rounded[k % ranks] : rest[k % ranks];
    };
    const int64_t steps = steps_of(4 * ranks);
    for (int64_t pair = 0; pair < steps * kPairs; ++pair) {
      BF16* line = to + pair / kPairs * kStep + pair % kPairs * kDepth;
      store_pairs(row(2 * pair), row(2 * pair + 1), order, line);
    }
    to += steps * kStep;
  }
}

}  // namespace dlm::amx
