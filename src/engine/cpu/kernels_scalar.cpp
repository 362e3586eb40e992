// Row kernels of the scalar tier; compiled with that tier's flags (room.cmake).
#define DLM_TIER tier_scalar
#include "engine/cpu/kernels.inc"
