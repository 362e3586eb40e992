// Row kernels of the avx512_bf16 tier and above; compiled with that tier's flags (room.cmake).
#define DLM_TIER tier_avx512_bf16
#include "engine/cpu/kernels.inc"
