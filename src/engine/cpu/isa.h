// Instruction-set tiers. One is chosen at start and written into every lock file, because results
// are the same bytes only within a tier. $DLM_ISA forces a lower one and caps oneDNN with it.
#pragma once

#include <string_view>
#include <vector>

namespace dlm {

enum class IsaTier { kScalar, kAvx2, kAvx512, kAvx512Bf16, kAmx };

const char* isa_name(IsaTier tier);  // "scalar", "avx2", "avx512", "avx512_bf16", "amx"

// The best tier that this processor and system support.
IsaTier best_isa_tier();

// The tier in use: $DLM_ISA if set (it may not exceed the best one), else the best one. Chosen on
// the first call, which also caps oneDNN. Throws Error(kUsage) for an unknown or unsupported name.
IsaTier isa_tier();

// True when bf16 matrix products run in hardware or are emulated exactly on this tier.
bool has_bf16_products(IsaTier tier);

std::vector<IsaTier> supported_isa_tiers();

}  // namespace dlm
