#include "engine/cpu/kernels.h"

#include "support/error.h"

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
namespace tier_avx512_bf16 {
extern const Kernels kTable;
}

const Kernels& kernels(IsaTier tier) {
  if (tier >= IsaTier::kAvx512Bf16) return tier_avx512_bf16::kTable;
  if (tier >= IsaTier::kAvx512) return tier_avx512::kTable;
  return tier == IsaTier::kAvx2 ? tier_avx2::kTable : tier_scalar::kTable;
}

const BlockKernels& Kernels::blocks(GgmlType type) const {
  switch (type) {
    case GgmlType::kF32:
      return ggml_f32;
    case GgmlType::kF16:
      return ggml_f16;
    case GgmlType::kBF16:
      return ggml_bf16;
    case GgmlType::kQ4_0:
      return q4_0;
    case GgmlType::kQ4_1:
      return q4_1;
    case GgmlType::kQ5_0:
      return q5_0;
    case GgmlType::kQ5_1:
      return q5_1;
    case GgmlType::kQ8_0:
      return q8_0;
    case GgmlType::kQ4_K:
      return q4_k;
    case GgmlType::kQ5_K:
      return q5_k;
    case GgmlType::kQ6_K:
      return q6_k;
    case GgmlType::kI32:
      break;
  }
  check(false, "blocks: integers are no weights");
  return ggml_f32;
}

}  // namespace dlm
