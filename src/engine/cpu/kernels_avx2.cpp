// Row kernels of the avx2 tier; compiled with that tier's flags (room.cmake).
#define DLM_TIER tier_avx2
#include "engine/cpu/kernels.inc"
