#include "engine/cpu/kernels.h"

namespace dlm {

namespace tier_scalar {
extern const Kernels kTable;
}
namespace tier_avx2 {
extern const Kernels kTable;
}
namespace tier_avx512 {
extern const Kernels kTable;
}

const Kernels& kernels(IsaTier tier) {
  if (tier >= IsaTier::kAvx512) return tier_avx512::kTable;
  return tier == IsaTier::kAvx2 ? tier_avx2::kTable : tier_scalar::kTable;
}

}  // namespace dlm
