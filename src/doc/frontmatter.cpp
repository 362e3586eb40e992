// The schema: which keys there are, their bounds, and the rules between them. Declaration order is
// the order of findings.
#include "doc/frontmatter.h"

#include <algorithm>
#include <limits>

#include "doc/mapping_reader.h"
#include "doc/python_text.h"
#include "support/text.h"
#include "support/ulid.h"

namespace dlm {
namespace {

constexpr int64_t kMaxSeed = 4294967295;  // what 32-bit generators of other programs take

std::optional<int64_t> read_auto_or_count(MappingReader& in, const std::string& key,
                                          Findings& findings) {
  const YamlNode* node = in.take(key);
  if (!node || (node->is_string() && node->text == "auto")) return std::nullopt;
  const size_t before = findings.count();
  const auto value = MappingReader::to_integer(
      *node, in.path(key),
      {std::numeric_limits<int64_t>::min(), std::numeric_limits<int32_t>::max()}, findings);
  if (value && *value < 1 && findings.count() == before) {
    findings.add(in.path(key), "must be a positive int or 'auto', got " + std::to_string(*value),
                 node);
  }
  return value;
}

std::optional<std::vector<std::string>> read_target_modules(MappingReader& in, Findings& findings) {
  const YamlNode* node = in.take("target_modules");
  if (!node || (node->is_string() && node->text == "auto")) return std::nullopt;
  if (node->kind() != YamlKind::kSequence) {
    findings.add(in.path("target_modules"), "must be 'auto' or a list of module names", node,
                 "for example target_modules: [q_proj, v_proj]");
    return std::nullopt;
  }
  return MappingReader::to_text_list(*node, in.path("target_modules"), findings);
}

// The six keys that stand flat in `training` and in each named adapter.
void read_adapter_head(MappingReader& in, AdapterConfig& config, Findings& findings) {
  config.kind = in.word("adapter", config.kind, kAdapterKindWords);
  config.lora_r = in.integer("lora_r", config.lora_r, {1, 256});
  config.lora_alpha = in.integer("lora_alpha", config.lora_alpha, {1});
  config.lora_dropout = in.number("lora_dropout", config.lora_dropout, {0, false, 0.5});
  config.target_modules = read_target_modules(in, findings);
}

double read_learning_rate(MappingReader& in, double value) {
  return in.number("learning_rate", value, {0, true});
}

PreferenceConfig read_preference(const YamlNode* node, const std::string& location,
                                 Findings& findings) {
  PreferenceConfig config;
  MappingReader in(node, location, findings);
  config.enabled = in.boolean("enabled", config.enabled);
  config.method = in.word("method", config.method, kPreferenceMethodWords);
  {
    const YamlNode* inner = in.take("hyperparams");
    MappingReader hyper(inner, in.path("hyperparams"), findings);
    PreferenceHyperparams& h = config.hyperparams;
    h.beta = hyper.number("beta", h.beta, {0, false, 1});
    h.alpha = hyper.number("alpha", h.alpha, {0, false, 1});
    h.learning_rate = read_learning_rate(hyper, h.learning_rate);
    h.num_epochs = hyper.integer("num_epochs", h.num_epochs, {1});
    hyper.finish();
  }
  config.loss_type = in.word("loss_type", config.loss_type, kPreferenceLossWords);
  config.reference = in.word("reference", config.reference, kPreferenceReferenceWords);
  in.finish();
  return config;
}

CptConfig read_cpt(const YamlNode* node, const std::string& location, Findings& findings) {
  CptConfig config;
  MappingReader in(node, location, findings);
  config.schedule = in.word("schedule", config.schedule, kCptScheduleWords);
  config.embed_warmup_steps = in.integer("embed_warmup_steps", config.embed_warmup_steps, {0});
  in.finish();
  return config;
}

GateConfig read_gate(const YamlNode* node, const std::string& location, Findings& findings) {
  GateConfig config;
  MappingReader in(node, location, findings);
  config.enabled = in.boolean("enabled", config.enabled);
  config.hidden_proj_dim = in.integer("hidden_proj_dim", config.hidden_proj_dim, {8, 2048});
  config.steps = in.integer("steps", config.steps, {1, 10000});
  config.lr = in.number("lr", config.lr, {0, true, 1});
  config.cold_start_floor = in.integer("cold_start_floor", config.cold_start_floor, {1, 1024});
  config.entropy_lambda = in.number("entropy_lambda", config.entropy_lambda, {0, false, 1});
  in.finish();
  return config;
}

CacheConfig read_cache(const YamlNode* node, const std::string& location, Findings& findings) {
  CacheConfig config;
  MappingReader in(node, location, findings);
  config.enabled = in.boolean("enabled", config.enabled);
  config.max_bytes =
      in.integer("max_bytes", config.max_bytes, {1, std::numeric_limits<int64_t>::max()});
  config.prune_older_than_days =
      in.integer("prune_older_than_days", config.prune_older_than_days, {1});
  in.finish();
  return config;
}

AudioConfig read_audio(const YamlNode* node, const std::string& location, Findings& findings) {
  AudioConfig config;
  MappingReader in(node, location, findings);
  config.auto_resample = in.boolean("auto_resample", config.auto_resample);
  in.finish();
  return config;
}

// A name that is meant and allowed, where the faults are capitals, blanks and hyphens.
std::string name_hint(const std::string& name) {
  std::string meant = lower_ascii(name);
  std::replace_if(
      meant.begin(), meant.end(), [](char c) { return c == ' ' || c == '-'; }, '_');
  return is_adapter_name(meant) ? "did you mean '" + meant + "'?" : "";
}

std::optional<std::vector<NamedAdapter>> read_adapters(const YamlNode* node,
                                                       const std::string& location,
                                                       Findings& findings) {
  if (!node || node->kind() == YamlKind::kNull) return std::nullopt;
  if (!node->is_mapping()) {
    findings.add(location,
                 std::string("must be a mapping of names, got ") + kind_words(node->kind()), node,
                 "write one indented 'name:' line per adapter");
    return std::nullopt;
  }
  const size_t before = findings.count();
  std::vector<NamedAdapter> adapters;
  for (const YamlNode::Entry& entry : node->entries) {
    const std::string name =
        entry.key->text.size() > 100 ? entry.key->text.substr(0, 100) + "…" : entry.key->text;
    const std::string path = location + "." + name;
    if (!entry.key->is_string()) {
      findings.add(
          path, "an adapter name must be text, got " + std::string(kind_words(entry.key->kind())),
          entry.key);
      continue;
    }
    findings.note_written(path);
    NamedAdapter adapter{entry.key->text, {}};
    MappingReader in(entry.value, path, findings);
    read_adapter_head(in, adapter.config, findings);
    adapter.config.learning_rate = read_learning_rate(in, adapter.config.learning_rate);
    in.finish();
    adapters.push_back(std::move(adapter));
  }
  if (findings.count() != before) return adapters;
  if (adapters.empty()) {
    findings.add(location, "at least one adapter must stand here", node,
                 "for a single adapter leave the key 'adapters' out");
  }
  for (size_t i = 0; i < adapters.size(); ++i) {
    if (is_adapter_name(adapters[i].name)) continue;
    findings.add(location,
                 in_quotes(adapters[i].name) +
                     " is not a valid adapter name (a small letter, then up to 31 small letters, "
                     "digits or underscores)",
                 node->entries[i].key, name_hint(adapters[i].name));
    break;
  }
  return adapters;
}

std::optional<std::vector<SourceDirective>> read_sources(const YamlNode* node,
                                                         const std::string& location,
                                                         Findings& findings) {
  if (!node || node->kind() == YamlKind::kNull) return std::nullopt;
  if (node->kind() != YamlKind::kSequence) {
    findings.add(location, std::string("must be a list, got ") + kind_words(node->kind()), node,
                 "begin each source with '- path: …'");
    return std::nullopt;
  }
  std::vector<SourceDirective> sources;
  for (size_t i = 0; i < node->items.size(); ++i) {
    MappingReader in(node->items[i], location + "." + std::to_string(i), findings);
    SourceDirective source;
    source.path = in.text("path");
    source.include = in.text_list("include", source.include);
    source.exclude = in.text_list("exclude", source.exclude);
    constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
    source.max_bytes_per_file = in.integer_or_null("max_bytes_per_file", {1, kNoLimit});
    source.max_files = in.integer_or_null("max_files", {1, kNoLimit});
    in.finish();
    sources.push_back(std::move(source));
  }
  return sources;
}

// Rules between the fields of `training`; only checked when the fields themselves are right.
void check_training(const TrainingConfig& training, const YamlNode& node, Findings& findings) {
  const size_t num_adapters = training.adapters ? training.adapters->size() : 0;
  if (training.gate.enabled && num_adapters < 2) {
    const YamlNode* gate = node.find("gate");
    const YamlNode* enabled = gate ? gate->find("enabled") : nullptr;
    findings.add("training",
                 "gate.enabled: true needs two or more named adapters to choose between, got " +
                     std::to_string(num_adapters),
                 enabled ? enabled : &node, "declare them below training.adapters");
    return;
  }
  if (!training.adapters) return;
  const AdapterConfig defaults;
  const AdapterConfig& flat = training.adapter;
  std::vector<std::string> drifting;
  if (flat.kind != defaults.kind) drifting.push_back("adapter");
  if (flat.lora_r != defaults.lora_r) drifting.push_back("lora_r");
  if (flat.lora_alpha != defaults.lora_alpha) drifting.push_back("lora_alpha");
  if (flat.lora_dropout != defaults.lora_dropout) drifting.push_back("lora_dropout");
  if (flat.target_modules != defaults.target_modules) drifting.push_back("target_modules");
  if (flat.learning_rate != defaults.learning_rate) drifting.push_back("learning_rate");
  if (drifting.empty()) return;
  const YamlNode* first = node.find(drifting.front());
  findings.add("training",
               "beside training.adapters the flat per-adapter fields [" + join(drifting, ", ") +
                   "] must keep their defaults",
               first ? first : &node, "move them below the name of each adapter");
}

TrainingConfig read_training(const YamlNode* node, Findings& findings) {
  const size_t before = findings.count();
  TrainingConfig t;
  MappingReader in(node, "training", findings);
  read_adapter_head(in, t.adapter, findings);
  t.sequence_len = in.integer("sequence_len", t.sequence_len, {64, 32768});
  t.micro_batch_size = read_auto_or_count(in, "micro_batch_size", findings);
  t.grad_accum = read_auto_or_count(in, "grad_accum", findings);
  t.adapter.learning_rate = read_learning_rate(in, t.adapter.learning_rate);
  t.num_epochs = in.integer("num_epochs", t.num_epochs, {1});
  t.optimizer = in.word("optimizer", t.optimizer, kOptimizerWords);
  t.lr_scheduler = in.word("lr_scheduler", t.lr_scheduler, kLrSchedulerWords);
  t.warmup_ratio = in.number("warmup_ratio", t.warmup_ratio, {0, false, 0.5});
  if (const YamlNode* precision = in.take("precision");
      precision && precision->kind() != YamlKind::kNull) {
    t.precision = in.word("precision", Precision::kBf16, kPrecisionWords);
  }
  t.seed = in.integer("seed", t.seed, {0, kMaxSeed});
  t.preference = read_preference(in.take("preference"), in.path("preference"), findings);
  t.cpt = read_cpt(in.take("cpt"), in.path("cpt"), findings);
  t.gate = read_gate(in.take("gate"), in.path("gate"), findings);
  t.cache = read_cache(in.take("cache"), in.path("cache"), findings);
  t.audio = read_audio(in.take("audio"), in.path("audio"), findings);
  t.adapters = read_adapters(in.take("adapters"), in.path("adapters"), findings);
  t.sources = read_sources(in.take("sources"), in.path("sources"), findings);
  t.sources_policy = in.word("sources_policy", t.sources_policy, kSourcesPolicyWords);
  in.finish();
  if (node && node->is_mapping() && findings.count() == before) check_training(t, *node, findings);
  return t;
}

ExportConfig read_export(const YamlNode* node, Findings& findings) {
  ExportConfig config;
  MappingReader in(node, "export", findings);
  config.default_quant = in.word("default_quant", config.default_quant, kQuantNameWords);
  config.default_temperature = in.number_or_null("default_temperature", {0, true, 2});
  config.default_top_p = in.number_or_null("default_top_p", {0, true, 1});
  in.finish();
  return config;
}

std::string read_dlm_id(MappingReader& in, const YamlNode& root, Findings& findings) {
  const YamlNode* node = in.take("dlm_id");
  if (!node) {
    findings.add("dlm_id", "required, but missing", &root,
                 "dlm init writes a document with a fresh id");
    return {};
  }
  // An id of digits alone is a number to YAML, but its text is still an id.
  const bool is_digits = node->kind() == YamlKind::kInt && node->is_plain;
  if (!node->is_string() && !is_digits) {
    findings.add("dlm_id", std::string("must be text, got ") + kind_words(node->kind()), node,
                 "dlm init writes a document with a fresh id");
  } else if (!is_ulid(node->text)) {
    findings.add("dlm_id", "must be a 26-char Crockford base32 ULID, got " + in_quotes(node->text),
                 node, "dlm init writes a document with a fresh id");
  }
  return node->text;
}

}  // namespace

bool is_adapter_name(std::string_view name) {
  if (name.empty() || name.size() > 32 || name[0] < 'a' || name[0] > 'z') return false;
  for (const char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

std::vector<NamedAdapter> declared_adapters(const Frontmatter& frontmatter) {
  if (frontmatter.training.adapters) return *frontmatter.training.adapters;
  return {{"default", frontmatter.training.adapter}};
}

Frontmatter read_frontmatter(const YamlTree& tree, int written_version, WarningSink& warnings) {
  Frontmatter out;
  out.written_version = written_version;
  Findings findings(warnings, out.written);
  const YamlNode& root = tree.root();
  if (!root.is_mapping()) {
    throw Error(ErrorKind::kParse,
                std::string("frontmatter must be a mapping, got ") + kind_words(root.kind()),
                "write one 'key: value' per line between the two --- lines",
                Place{warnings.path(), 2, 1});
  }
  MappingReader in(&root, "", findings);
  out.dlm_id = read_dlm_id(in, root, findings);
  in.take("dlm_version");
  out.base_model = in.text("base_model");
  out.training = read_training(in.take("training"), findings);
  out.export_config = read_export(in.take("export"), findings);
  if (const YamlNode* prompt = in.take("system_prompt");
      prompt && prompt->kind() != YamlKind::kNull) {
    if (prompt->is_string()) {
      out.system_prompt = prompt->text;
    } else {
      findings.add("system_prompt", std::string("must be text, got ") + kind_words(prompt->kind()),
                   prompt, "put the value in quotes to make it text");
    }
  }
  in.finish();
  findings.raise();
  return out;
}

}  // namespace dlm
