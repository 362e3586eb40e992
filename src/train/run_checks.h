// What must hold before a run begins its work, and before it commits.
#pragma once

#include "model/lora.h"
#include "store/store_layout.h"

namespace dlm {

// Room for the adapter, its state, two checkpoints (one replaces the other) and logs. Throws
// Error(kIo) with both sizes.
void check_disk(const StoreLayout& store, int64_t adapter_parameters);

// Throws Error(kTrain) that names the tensors that hold what is not a number.
void check_finite(LoraAdapter& adapter);

}  // namespace dlm
