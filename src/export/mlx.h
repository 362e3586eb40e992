// The export for mlx_lm.server on Apple Silicon: the adapter in MLX's own names and orientation,
// and a script that starts the server. It is written on any machine.
#pragma once

#include "export/vllm.h"

namespace dlm {

struct MlxExport {
  ServedBase base;
  ServedModule module;
};

// Throws Error(kExport) naming what MLX cannot load: modules that were trained whole.
void write_mlx_export(const MlxExport& request, const fs::path& out);
inline constexpr const char* kMlxScript = "mlx_serve_launch.sh";

}  // namespace dlm
