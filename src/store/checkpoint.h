// The checkpoint of a run that has not committed yet: `adapter/.checkpoint/000003.pt` with the
// digest of its bytes beside it. The digest is written last and makes it complete; only then is the
// one before removed, so that a kill at any instant leaves a whole checkpoint.
#pragma once

#include <optional>
#include <string_view>

#include "formats/torch_pt.h"
#include "store/store_layout.h"
#include "store/store_lock.h"

namespace dlm {

// Replaces the checkpoint. Throws Error(kIo); the one before is then untouched.
void write_checkpoint(const StoreLayout& store, std::string_view adapter, const TorchValue& state,
                      const StoreLock& lock);

// The newest complete checkpoint; none when there is none. Throws Error(kStore) when its bytes do
// not have its digest, Error(kFormat) for what another program wrote. Tensors refer to the mapped
// file.
std::optional<TorchValue> read_checkpoint(const StoreLayout& store, std::string_view adapter);
bool has_checkpoint(const StoreLayout& store, std::string_view adapter);

// After the run committed, or to forget it.
void remove_checkpoint(const StoreLayout& store, std::string_view adapter, const StoreLock& lock);

}  // namespace dlm
