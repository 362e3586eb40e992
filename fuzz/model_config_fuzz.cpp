// Any JSON as a model's config.json: what is accepted has sizes that its own rules can use, what is
// refused is refused as a broken base or as broken JSON.
#include <cstdint>
#include <cstdlib>

#include "model/config.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const dlm::ModelConfig config =
        dlm::parse_model_config(dlm::parse_json(text, "fuzz"), "config.json");
    const auto layers = static_cast<size_t>(config.num_layers);
    if (config.layer_attention.size() != layers) std::abort();
    if (config.num_heads % config.num_kv_heads != 0) std::abort();
    for (const int64_t length : {int64_t{1}, config.max_positions}) {
      const auto half = static_cast<size_t>(config.rope.rot(config.head_dim) / 2);
      if (config.rope.frequencies(config.head_dim, length).size() != half) std::abort();
    }
  } catch (const dlm::Error& error) {
    const bool is_expected =
        error.kind() == dlm::ErrorKind::kBase || error.kind() == dlm::ErrorKind::kFormat;
    if (!is_expected) std::abort();
  }
  return 0;
}
