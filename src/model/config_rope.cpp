#include "model/config_rope.h"

#include <algorithm>
#include <cmath>

#include "support/elementary.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr const char* kOriginal = "original_max_position_embeddings";

double read_factor(const ConfigReader& block, const RopeConfig& rope, const ModelConfig& config) {
  // Yarn alone may leave it to the ratio of the two contexts.
  if (block.find("factor") == nullptr && rope.type != "yarn") {
    block.fail("rope scaling " + rope.type + " has no \"factor\"");
  }
  const double factor = block.number_or(
      "factor", static_cast<double>(config.max_positions) / rope.original_max_positions);
  if (!(factor >= 1.0)) block.fail("the factor of rope scaling " + rope.type + " is below 1");
  return factor;
}

// Amplitude that makes up for interpolated angles (Peng et al. 2023, section 3.4).
double yarn_amplitude(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * exact_log(factor) + 1.0;
}

void read_yarn(const ConfigReader& block, RopeConfig& rope) {
  const double mscale = block.number_or("mscale", 0.0);
  const double mscale_all = block.number_or("mscale_all_dim", 0.0);
  const double usual =
      mscale != 0.0 && mscale_all != 0.0
          ? yarn_amplitude(rope.factor, mscale) / yarn_amplitude(rope.factor, mscale_all)
          : yarn_amplitude(rope.factor, 1.0);
  rope.attention_factor = block.number_or("attention_factor", usual);
  rope.beta_fast = block.number_or("beta_fast", 32.0);
  rope.beta_slow = block.number_or("beta_slow", 1.0);
  rope.truncates_range = block.flag_or("truncate", true);
  if (!(rope.beta_fast > 0) || !(rope.beta_slow > 0)) {
    block.fail("beta_fast and beta_slow of rope scaling yarn must be above 0");
  }
}

void read_llama3(const ConfigReader& block, RopeConfig& rope) {
  rope.low_freq_factor = block.number_or("low_freq_factor", 1.0);
  rope.high_freq_factor = block.number_or("high_freq_factor", 4.0);
  rope.original_max_positions = static_cast<double>(block.size(kOriginal));
  if (!(rope.low_freq_factor > 0) || !(rope.high_freq_factor > rope.low_freq_factor)) {
    block.fail("the factors of rope scaling llama3 contradict each other");
  }
}

void read_longrope(const ConfigReader& block, RopeConfig& rope, const ModelConfig& config) {
  const auto half = static_cast<size_t>(rope.rot(config.head_dim) / 2);
  rope.short_factors = block.numbers("short_factor");
  rope.long_factors = block.numbers("long_factor");
  for (const std::vector<double>* list : {&rope.short_factors, &rope.long_factors}) {
    if (list->size() != half) {
      block.fail("rope scaling longrope has " + std::to_string(list->size()) + " factors, " +
                 std::to_string(half) + " pairs rotate");
    }
    if (std::any_of(list->begin(), list->end(), [](double x) { return !(x > 0); })) {
      block.fail("a factor of rope scaling longrope is not above 0");
    }
  }
  const auto reach = static_cast<double>(config.max_positions);
  rope.factor = rope.original_max_positions < reach ? reach / rope.original_max_positions
                                                    : block.number_or("factor", 1.0);
  double usual = 1.0;
  if (rope.factor > 1.0) {
    usual = std::sqrt(1.0 + exact_log(rope.factor) / exact_log(rope.original_max_positions));
  }
  rope.attention_factor = block.number_or("attention_factor", usual);
}

std::string canonical_type(const std::string& type, const ModelConfig& config) {
  // Names that Phi 3 checkpoints used before the rule had one.
  if (type == "su" || (type == "yarn" && config.model_type == "phi3")) return "longrope";
  return type;
}

// `outer` is the whole file, `block` the object that holds the rule.
RopeConfig read_block(const ConfigReader& outer, const ConfigReader& block,
                      const ModelConfig& config) {
  RopeConfig rope;
  rope.theta = block.number_or("rope_theta",
                               outer.number_or("rope_theta", config.family().defaults.rope_theta));
  rope.partial_rotary_factor =
      block.number_or("partial_rotary_factor", outer.number_or("partial_rotary_factor", 1.0));
  if (!(rope.theta > 1.0)) outer.fail("rope_theta must be above 1");
  if (!(rope.partial_rotary_factor > 0) || rope.partial_rotary_factor > 1.0) {
    outer.fail("partial_rotary_factor must be above 0 and at most 1");
  }
  if (rope.partial_rotary_factor != 1.0 && config.model_type != "phi3") {
    outer.fail("partial_rotary_factor is not supported in family " + config.model_type);
  }
  const int64_t rot = rope.rot(config.head_dim);
  if (rot < 2 || rot % 2 != 0) {
    outer.fail(std::to_string(rot) + " elements of a head rotate, rotary embedding needs pairs");
  }
  const std::string type = block.text_or("rope_type", block.text_or("type", "default"));
  rope.type = canonical_type(type, config);
  if (std::find(rope_types().begin(), rope_types().end(), rope.type) == rope_types().end()) {
    outer.fail("rope type \"" + type + "\" is not supported",
               "supported: " + join(rope_types(), ", "));
  }
  if (rope.type == "default") return rope;
  const int64_t original = block.size_or(kOriginal, outer.size_or(kOriginal, config.max_positions));
  rope.original_max_positions = static_cast<double>(original);
  if (rope.type == "longrope") {
    if (original < 2) outer.fail_key(kOriginal, "is too small");
    read_longrope(block, rope, config);
    return rope;
  }
  rope.factor = read_factor(block, rope, config);
  if (rope.type == "yarn") read_yarn(block, rope);
  if (rope.type == "llama3") read_llama3(block, rope);
  if (rope.type == "dynamic") {
    if (rot <= 2) outer.fail("rope scaling dynamic needs more than one pair");
    rope.original_max_positions = static_cast<double>(config.max_positions);
  }
  return rope;
}

}  // namespace

void read_rope(const ConfigReader& reader, ModelConfig& config) {
  const char* key = reader.find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const auto block = reader.object(key);
  if (!block) {
    // The rule's own keys lie nowhere; theta and partial rotation lie beside.
    const Json none = Json::object();
    config.rope = read_block(reader, ConfigReader(none, reader.path()), config);
    return;
  }
  const auto full = block->json().find("full_attention") == nullptr
                        ? std::nullopt
                        : block->object("full_attention");
  const auto sliding = block->json().find("sliding_attention") == nullptr
                           ? std::nullopt
                           : block->object("sliding_attention");
  if (full || sliding) {
    config.rope = read_block(reader, full ? *full : *sliding, config);
    if (sliding) config.sliding_rope = read_block(reader, *sliding, config);
  } else {
    config.rope = read_block(reader, *block, config);
  }
  // "dynamic" leaves rows up to max_position_embeddings as they are and exists for longer ones.
  if (config.rope.type == "dynamic" && !config.sliding_rope) {
    const double reach = std::floor(static_cast<double>(config.max_positions) * config.rope.factor);
    config.max_positions = static_cast<int64_t>(std::min(reach, 2147483647.0));
  }
}

}  // namespace dlm
