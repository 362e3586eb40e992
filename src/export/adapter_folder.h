// Adapters as PEFT folders, without the base's weights: read for their numbers, combined exactly,
// written for programs that know only the plainest form.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/decoder.h"
#include "model/lora.h"
#include "support/file.h"

namespace dlm {

// An adapter with the shapes of its base. Throws what LoraAdapter::load throws.
struct AdapterOnShapes {
  std::unique_ptr<Decoder> shapes;
  std::unique_ptr<LoraAdapter> adapter;
};
AdapterOnShapes load_adapter(const ModelConfig& config, const fs::path& folder);

struct WeightedAdapter {
  fs::path folder;
  std::string name;  // "" for the document's only one
  double weight = 1;
};

// How several adapters become one.
enum class MixMethod {
  kConcatenate,  // A stacked, B side by side with weight and scale worked in: exact; ranks add up
  kSvd,          // that, cut to the largest rank by the singular values
};

struct MixReport {
  int64_t rank = 0;
  double relative_error = 0;  // of all layers: |cut - exact| / |exact|, Frobenius
  double largest_error = 0;   // of one layer
  std::string largest_layer;
};

// Writes adapter_config.json and adapter_model.safetensors of the weighted sum: one rank for all
// layers, scale 1, no patterns. One adapter of weight 1 is thus put into plain form. Throws
// Error(kExport) naming an adapter that is no plain sum (DoRA, modules that were trained whole).
MixReport write_mixed_adapter(const ModelConfig& config, const std::vector<WeightedAdapter>& parts,
                              MixMethod method, const std::string& base_name, const fs::path& out);

// Copies a PEFT folder as it is, but for the name of its base: stores may record a path there.
void copy_adapter(const fs::path& from, const fs::path& out, const std::string& base_name);

// The tensors of a mix's layer cut to `rank`: B A of least distance. All row-major f32: b [out,
// from], a [from, in]; results in place, [out, rank] and [rank, in]. Returns the squares of what
// was cut and of the whole.
std::pair<double, double> cut_to_rank(std::vector<float>& b, std::vector<float>& a, int64_t out,
                                      int64_t in, int64_t from, int64_t rank);

}  // namespace dlm
