#include "engine/cpu/isa.h"

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <dnnl.hpp>
#include <string>

#include "support/error.h"

namespace dlm {

namespace {

constexpr IsaTier kAll[] = {IsaTier::kScalar, IsaTier::kAvx2, IsaTier::kAvx512,
                            IsaTier::kAvx512Bf16, IsaTier::kAmx};

// Tile data is extra state that Linux hands out on request (arch_prctl, XFEATURE_XTILEDATA = 18).
bool may_use_amx_tiles() {
  constexpr int kRequestPermission = 0x1023;
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool cpu_has_amx_bf16() {
  unsigned eax = 7;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  const bool bf16 = (edx >> 22) & 1U;
  const bool tile = (edx >> 24) & 1U;
  return bf16 && tile;
}

void cap_onednn(IsaTier tier) {
  using dnnl::cpu_isa;
  switch (tier) {
    case IsaTier::kScalar:
      dnnl::set_max_cpu_isa(cpu_isa::sse41);
      break;
    case IsaTier::kAvx2:
      dnnl::set_max_cpu_isa(cpu_isa::avx2);
      break;
    case IsaTier::kAvx512:
      dnnl::set_max_cpu_isa(cpu_isa::avx512_core);
      break;
    case IsaTier::kAvx512Bf16:
      dnnl::set_max_cpu_isa(cpu_isa::avx512_core_bf16);
      break;
    case IsaTier::kAmx:
      dnnl::set_max_cpu_isa(cpu_isa::avx512_core_amx);
      break;
  }
}

IsaTier choose() {
  const IsaTier best = best_isa_tier();
  IsaTier tier = best;
  const char* text = std::getenv("DLM_ISA");
  if (text != nullptr && *text != '\0') {
    bool known = false;
    for (const IsaTier candidate : kAll) {
      if (std::string_view(text) == isa_name(candidate)) {
        known = true;
        tier = candidate;
      }
    }
    if (!known || tier > best) {
      throw Error(ErrorKind::kUsage,
                  "DLM_ISA is \"" + std::string(text) + "\"" +
                      (known ? ", which this processor does not have" : ""),
                  "use scalar, avx2, avx512, avx512_bf16 or amx, at most " +
                      std::string(isa_name(best)) + " here");
    }
  }
  cap_onednn(tier);
  return tier;
}

}  // namespace

const char* isa_name(IsaTier tier) {
  switch (tier) {
    case IsaTier::kScalar:
      return "scalar";
    case IsaTier::kAvx2:
      return "avx2";
    case IsaTier::kAvx512:
      return "avx512";
    case IsaTier::kAvx512Bf16:
      return "avx512_bf16";
    case IsaTier::kAmx:
      return "amx";
  }
  return "?";
}

IsaTier best_isa_tier() {
  static const IsaTier best = [] {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return IsaTier::kScalar;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
      return IsaTier::kAvx2;
    }
    if (!__builtin_cpu_supports("avx512bf16")) return IsaTier::kAvx512;
    return cpu_has_amx_bf16() && may_use_amx_tiles() ? IsaTier::kAmx : IsaTier::kAvx512Bf16;
  }();
  return best;
}

IsaTier isa_tier() {
  static const IsaTier tier = choose();
  return tier;
}

bool has_bf16_products(IsaTier tier) {
  return tier >= IsaTier::kAvx512;
}

std::vector<IsaTier> supported_isa_tiers() {
  std::vector<IsaTier> tiers;
  for (const IsaTier tier : kAll) {
    if (tier <= best_isa_tier()) tiers.push_back(tier);
  }
  return tiers;
}

}  // namespace dlm
