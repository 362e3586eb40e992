// Row kernels of the avx512 tier; compiled with that tier's flags (room.cmake).
#define DLM_TIER tier_avx512
#include "engine/cpu/kernels.inc"
