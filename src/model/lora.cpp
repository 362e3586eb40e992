#include "model/lora.h"

#include <algorithm>
#include <cmath>

#include "engine/dora.h"
#include "engine/random.h"
#include "model/decoder.h"
#include "model/module_names.h"
#include "model/peft_config.h"
#include "support/error.h"

namespace dlm {

namespace {

// FNV-1a: names a module in random keys, whatever other modules are targeted.
uint64_t name_key(const std::string& name) {
  uint64_t h = 1469598103934665603ULL;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return h;
}

template <class T>
std::vector<std::string> keys_of(const std::vector<std::pair<std::string, T>>& pattern) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : pattern) keys.push_back(key);
  return keys;
}

// Throws for a key that decides for no layer.
void check_all_used(const char* pattern_name, const std::vector<std::string>& keys,
                    const std::vector<std::string>& modules) {
  const ModulePatterns patterns(keys);
  std::vector<bool> used(keys.size());
  for (const std::string& module : modules) {
    if (const auto match = patterns.first_match(module)) used[*match] = true;
  }
  const auto unused = std::find(used.begin(), used.end(), false);
  if (unused == used.end()) return;
  throw Error(ErrorKind::kTrain,
              std::string(pattern_name) + ": \"" +
                  keys[static_cast<size_t>(unused - used.begin())] +
                  "\" matches no layer of the adapter, or only layers of an earlier key",
              "remove it, or write the end of a targeted module's name");
}

// A copy of a base weight with f32 elements to train; its shape alone without memory.
std::unique_ptr<Parameter> trained_copy(const Parameter& base, const char* module,
                                        bool has_memory) {
  auto copy = std::make_unique<Parameter>();
  copy->name = peft_saved_key(module);
  if (!has_memory) {
    copy->value = Tensor::shape_only(base.value.shape(), base.value.dtype());
    return copy;
  }
  copy->value = base.value.cast(base.value.dtype());
  if (base.value.dtype() != DType::kF32) copy->master = base.value.cast(DType::kF32);
  return copy;
}

}  // namespace

LoraAdapter::LoraAdapter(LoraOptions options, Decoder& decoder) : options_(std::move(options)) {
  for (const auto& [module, weight] : decoder.linear_layers()) linear_names_.push_back(module);
}

int64_t LoraAdapter::rank_of(const std::string& module) const {
  const auto match = ModulePatterns(keys_of(options_.rank_pattern)).first_match(module);
  return match ? options_.rank_pattern[*match].second : options_.rank;
}

float LoraAdapter::scale_of(const std::string& module) const {
  const auto match = ModulePatterns(keys_of(options_.alpha_pattern)).first_match(module);
  const double alpha = match ? options_.alpha_pattern[*match].second : options_.alpha;
  const auto rank = static_cast<double>(rank_of(module));
  return static_cast<float>(alpha / (options_.use_rslora ? std::sqrt(rank) : rank));
}

Lora& LoraAdapter::add_layer(const std::string& module, int64_t in, int64_t out, bool has_memory) {
  const auto values = [&](std::vector<int64_t> shape, Arena* arena) {
    return has_memory ? Tensor::zeros(std::move(shape), DType::kF32, arena)
                      : Tensor::shape_only(std::move(shape), DType::kF32);
  };
  auto lora = std::make_unique<Lora>();
  lora->rank = rank_of(module);
  lora->scale = scale_of(module);
  lora->dropout = static_cast<float>(options_.dropout);
  lora->key = name_key(module);
  lora->a.name = peft_key(module, "lora_A.weight");
  lora->a.value = values({lora->rank, in}, &memory_);
  lora->bt.name = peft_key(module, "lora_B.weight");
  lora->bt.value = values({lora->rank, out}, &memory_);
  if (options_.use_dora) {
    lora->dora = std::make_unique<Dora>();
    lora->dora->magnitude.name = peft_key(module, "lora_magnitude_vector");
    lora->dora->magnitude.value = values({out}, nullptr);
  }
  layers_.emplace_back(module, std::move(lora));
  by_name_[module] = layers_.back().second.get();
  return *layers_.back().second;
}

void LoraAdapter::check_fits(Decoder& decoder) const {
  std::vector<std::string> targeted;
  for (const auto& [module, weight] : decoder.linear_layers()) {
    if (!is_target(options_.target_modules, module)) continue;
    targeted.push_back(module);
    const int64_t side = std::min(weight->value.dim(0), weight->value.dim(1));
    if (rank_of(module) <= side) continue;
    throw Error(ErrorKind::kTrain,
                "rank " + std::to_string(rank_of(module)) + " is larger than layer \"" + module +
                    "\" of shape " + shape_text(weight->value.shape()),
                "write training.lora_r: " + std::to_string(side) +
                    " or less, or leave the layer out of training.target_modules");
  }
  for (const std::string& name : options_.target_modules) {
    if (name == kAllLinear ||
        std::any_of(targeted.begin(), targeted.end(),
                    [&](const auto& module) { return names_module(name, module); })) {
      continue;
    }
    std::string known;
    for (const auto& [module, weight] : decoder.linear_layers()) {
      const std::string last = last_name(module);
      if ((", " + known + ",").find(", " + last + ",") != std::string::npos) continue;
      known += (known.empty() ? "" : ", ") + last;
    }
    throw Error(ErrorKind::kTrain,
                "target module \"" + name + "\" names no linear layer of the base",
                "this base has: " + known);
  }
  if (targeted.empty()) {
    throw Error(ErrorKind::kTrain, "the adapter has no target modules",
                "write training.target_modules: auto");
  }
  check_all_used("rank_pattern", keys_of(options_.rank_pattern), targeted);
  check_all_used("alpha_pattern", keys_of(options_.alpha_pattern), targeted);
}

std::unique_ptr<LoraAdapter> LoraAdapter::make(Decoder& decoder, const LoraOptions& options,
                                               bool has_memory) {
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter(options, decoder));
  adapter->check_fits(decoder);
  for (const auto& [module, weight] : decoder.linear_layers()) {
    if (!is_target(options.target_modules, module)) continue;
    adapter->add_layer(module, weight->value.dim(1), weight->value.dim(0), has_memory);
  }
  for (const std::string& module : options.modules_to_save) {
    if (module == kEmbedTokens) {
      adapter->embedding_ = trained_copy(decoder.embedding(), kEmbedTokens, has_memory);
    } else if (module == kLmHead) {
      adapter->head_ = trained_copy(decoder.head(), kLmHead, has_memory);
    } else {
      throw Error(ErrorKind::kTrain, "module \"" + module + "\" cannot be trained whole",
                  std::string("only ") + kEmbedTokens + " and " + kLmHead + " can");
    }
  }
  return adapter;
}

std::unique_ptr<LoraAdapter> LoraAdapter::shapes(Decoder& decoder, const LoraOptions& options) {
  return make(decoder, options, false);
}

std::unique_ptr<LoraAdapter> LoraAdapter::create(Decoder& decoder, const LoraOptions& options,
                                                 uint64_t seed) {
  std::unique_ptr<LoraAdapter> adapter = make(decoder, options, true);
  for (const auto& [module, weight] : decoder.linear_layers()) {
    Lora* lora = adapter->find(module);
    if (lora == nullptr) continue;
    const double bound = 1.0 / std::sqrt(static_cast<double>(weight->value.dim(1)));
    float* a = lora->a.value.mutable_f32();
    for (int64_t i = 0; i < lora->a.value.numel(); ++i) {
      const uint64_t key = random_key({seed, lora->key, static_cast<uint64_t>(i)});
      a[i] = static_cast<float>((2.0 * uniform(key) - 1.0) * bound);
    }
    if (lora->dora) {
      const std::vector<float> norms = row_norms(*weight, kernels(isa_tier()));
      std::copy(norms.begin(), norms.end(), lora->dora->magnitude.value.mutable_f32());
    }
  }
  return adapter;
}

Lora* LoraAdapter::find(const std::string& module) {
  const auto it = by_name_.find(module);
  return it == by_name_.end() ? nullptr : it->second;
}

std::vector<Parameter*> LoraAdapter::parameters() const {
  std::vector<Parameter*> all;
  for (const auto& [name, lora] : layers_) {
    all.push_back(&lora->a);
    all.push_back(&lora->bt);
    if (lora->dora) all.push_back(&lora->dora->magnitude);
  }
  if (embedding_) all.push_back(embedding_.get());
  if (head_) all.push_back(head_.get());
  return all;
}

void LoraAdapter::set_trainable() {
  for (Parameter* p : parameters()) p->make_trainable();
}

std::vector<std::pair<std::string, Lora*>> LoraAdapter::layers() {
  std::vector<std::pair<std::string, Lora*>> all;
  for (auto& [name, lora] : layers_) all.emplace_back(name, lora.get());
  return all;
}

int64_t LoraAdapter::num_parameters() const {
  int64_t total = 0;
  for (const Parameter* p : parameters()) total += p->value.numel();
  return total;
}

std::vector<std::string> LoraAdapter::target_names() const {
  std::vector<std::string> names;
  for (const auto& [module, lora] : layers_) {
    const std::string last = last_name(module);
    const bool whole =
        std::all_of(linear_names_.begin(), linear_names_.end(), [&](const std::string& other) {
          return last_name(other) != last || by_name_.contains(other);
        });
    names.push_back(whole ? last : module);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Json LoraAdapter::config_json() const {
  return peft_config_json(options_, target_names());
}

Parameter& embedding_of(Decoder& decoder, LoraAdapter* adapter) {
  const bool own = adapter != nullptr && adapter->embedding() != nullptr;
  return own ? *adapter->embedding() : decoder.embedding();
}

Parameter& head_of(Decoder& decoder, LoraAdapter* adapter) {
  const bool own = adapter != nullptr && adapter->head() != nullptr;
  return own ? *adapter->head() : decoder.head();
}

}  // namespace dlm
