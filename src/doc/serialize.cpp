// Canonical writing. See the header.
#include "doc/serialize.h"

#include "doc/code_blocks.h"
#include "doc/fence.h"
#include "doc/markers.h"
#include "doc/migrate.h"
#include "doc/python_text.h"
#include "doc/yaml_text.h"
#include "support/text.h"

namespace dlm {
namespace {

std::string text_of(int64_t value) {
  return std::to_string(value);
}
std::string text_of(double value) {
  return format_python_float(value);
}
std::string text_of(bool value) {
  return value ? "true" : "false";
}
std::string text_of(const std::optional<int64_t>& value, const char* none) {
  return value ? text_of(*value) : none;
}

// Writes the fields of nested blocks; a block's header appears with its first field.
class FieldWriter {
 public:
  FieldWriter(const Frontmatter& frontmatter, bool keep_written)
      : frontmatter_(frontmatter), keep_written_(keep_written) {}

  void open(const std::string& key) { blocks_.push_back({key, false}); }
  void close() { blocks_.pop_back(); }
  // Opens a block that is written even when it stays empty, as "key: {}".
  void open_always(const std::string& key) {
    open(key);
    write_headers(blocks_.size() - 1);
  }
  void close_always() {
    const Block block = blocks_.back();
    blocks_.pop_back();
    if (!block.is_written) line(block.key + ": {}");
  }

  template <typename T>
  void field(const std::string& key, const T& value, const T& standard) {
    value_field(key, text_of(value), value == standard);
  }
  template <typename Enum>
  void word(const std::string& key, std::span<const char* const> words, Enum value, Enum standard) {
    value_field(key, word_of(words, value), value == standard);
  }
  void value_field(const std::string& key, const std::string& text, bool is_default) {
    if (is_default && !(keep_written_ && frontmatter_.was_written(path(key)))) return;
    line(key + ": " + text);
  }
  // A line at the current depth, under its headers.
  void line(const std::string& text) {
    write_headers(blocks_.size());
    out_ += std::string(2 * blocks_.size(), ' ') + text + "\n";
  }
  std::string take() { return std::move(out_); }

 private:
  struct Block {
    std::string key;
    bool is_written;
  };

  std::string path(const std::string& key) const {
    std::string out;
    for (const Block& block : blocks_) out += block.key + ".";
    return out + key;
  }
  void write_headers(size_t depth) {
    for (size_t i = 0; i < depth; ++i) {
      if (blocks_[i].is_written) continue;
      out_ += std::string(2 * i, ' ') + blocks_[i].key + ":\n";
      blocks_[i].is_written = true;
    }
  }

  const Frontmatter& frontmatter_;
  bool keep_written_;
  std::vector<Block> blocks_;
  std::string out_;
};

std::string modules_text(const AdapterConfig& config) {
  return config.target_modules ? yaml_flow_list(*config.target_modules) : "auto";
}

void write_adapter_head(FieldWriter& out, const AdapterConfig& a) {
  const AdapterConfig d;
  out.word("adapter", kAdapterKindWords, a.kind, d.kind);
  out.field("lora_r", a.lora_r, d.lora_r);
  out.field("lora_alpha", a.lora_alpha, d.lora_alpha);
  out.field("lora_dropout", a.lora_dropout, d.lora_dropout);
  out.value_field("target_modules", modules_text(a), !a.target_modules);
}

void write_preference(FieldWriter& out, const Frontmatter& frontmatter) {
  const PreferenceConfig& p = frontmatter.training.preference;
  const PreferenceConfig d;
  out.open("preference");
  // "enabled: false" switches the phase off; without the key a preference section switches it on.
  const bool enabled_written = frontmatter.was_written("training.preference.enabled");
  out.value_field("enabled", text_of(p.enabled), p.enabled == d.enabled && !enabled_written);
  out.word("method", kPreferenceMethodWords, p.method, d.method);
  out.open("hyperparams");
  out.field("beta", p.hyperparams.beta, d.hyperparams.beta);
  out.field("alpha", p.hyperparams.alpha, d.hyperparams.alpha);
  out.field("learning_rate", p.hyperparams.learning_rate, d.hyperparams.learning_rate);
  out.field("num_epochs", p.hyperparams.num_epochs, d.hyperparams.num_epochs);
  out.close();
  out.word("loss_type", kPreferenceLossWords, p.loss_type, d.loss_type);
  out.word("reference", kPreferenceReferenceWords, p.reference, d.reference);
  out.close();
}

void write_small_blocks(FieldWriter& out, const TrainingConfig& t) {
  const TrainingConfig d;
  out.open("cpt");
  out.word("schedule", kCptScheduleWords, t.cpt.schedule, d.cpt.schedule);
  out.field("embed_warmup_steps", t.cpt.embed_warmup_steps, d.cpt.embed_warmup_steps);
  out.close();
  out.open("gate");
  out.field("enabled", t.gate.enabled, d.gate.enabled);
  out.field("hidden_proj_dim", t.gate.hidden_proj_dim, d.gate.hidden_proj_dim);
  out.field("steps", t.gate.steps, d.gate.steps);
  out.field("lr", t.gate.lr, d.gate.lr);
  out.field("cold_start_floor", t.gate.cold_start_floor, d.gate.cold_start_floor);
  out.field("entropy_lambda", t.gate.entropy_lambda, d.gate.entropy_lambda);
  out.close();
  out.open("cache");
  out.field("enabled", t.cache.enabled, d.cache.enabled);
  out.field("max_bytes", t.cache.max_bytes, d.cache.max_bytes);
  out.field("prune_older_than_days", t.cache.prune_older_than_days, d.cache.prune_older_than_days);
  out.close();
  out.open("audio");
  out.field("auto_resample", t.audio.auto_resample, d.audio.auto_resample);
  out.close();
}

void write_adapters(FieldWriter& out, const std::vector<NamedAdapter>& adapters) {
  out.open("adapters");
  for (const NamedAdapter& adapter : adapters) {
    out.open_always(adapter.name);
    write_adapter_head(out, adapter.config);
    out.field("learning_rate", adapter.config.learning_rate, AdapterConfig{}.learning_rate);
    out.close_always();
  }
  out.close();
}

// `is_written` tells of a path below "training.sources" whether its default must be written too.
template <typename IsWritten>
void write_sources(FieldWriter& out, const std::vector<SourceDirective>& sources,
                   const IsWritten& is_written) {
  if (sources.empty()) {
    out.line("sources: []");
    return;
  }
  const SourceDirective d;
  out.line("sources:");
  for (size_t i = 0; i < sources.size(); ++i) {
    const SourceDirective& source = sources[i];
    const std::string at = std::to_string(i) + ".";
    out.line("  - path: " + yaml_string(source.path));
    if (source.include != d.include || is_written(at + "include")) {
      out.line("    include: " + yaml_flow_list(source.include));
    }
    if (source.exclude != d.exclude || is_written(at + "exclude")) {
      out.line("    exclude: " + yaml_flow_list(source.exclude));
    }
    if (source.max_bytes_per_file) {
      out.line("    max_bytes_per_file: " + text_of(*source.max_bytes_per_file));
    }
    if (source.max_files) out.line("    max_files: " + text_of(*source.max_files));
  }
}

void write_training(FieldWriter& out, const Frontmatter& frontmatter, bool keep_written) {
  const TrainingConfig& t = frontmatter.training;
  const TrainingConfig d;
  out.open("training");
  write_adapter_head(out, t.adapter);
  out.field("sequence_len", t.sequence_len, d.sequence_len);
  out.value_field("micro_batch_size", text_of(t.micro_batch_size, "auto"), !t.micro_batch_size);
  out.value_field("grad_accum", text_of(t.grad_accum, "auto"), !t.grad_accum);
  out.field("learning_rate", t.adapter.learning_rate, d.adapter.learning_rate);
  out.field("num_epochs", t.num_epochs, d.num_epochs);
  out.word("optimizer", kOptimizerWords, t.optimizer, d.optimizer);
  out.word("lr_scheduler", kLrSchedulerWords, t.lr_scheduler, d.lr_scheduler);
  out.field("warmup_ratio", t.warmup_ratio, d.warmup_ratio);
  out.value_field("precision", t.precision ? word_of(kPrecisionWords, *t.precision) : "null",
                  !t.precision);
  out.field("seed", t.seed, d.seed);
  write_preference(out, frontmatter);
  write_small_blocks(out, t);
  if (t.adapters) write_adapters(out, *t.adapters);
  if (t.sources) {
    write_sources(out, *t.sources, [&](const std::string& key) {
      return keep_written && frontmatter.was_written("training.sources." + key);
    });
  }
  out.word("sources_policy", kSourcesPolicyWords, t.sources_policy, d.sources_policy);
  out.close();
}

std::string attribute(const char* key, const std::string& value) {
  if (value.find_first_of("\"\n\r") != std::string::npos) {
    throw Error(ErrorKind::kParse,
                std::string("the attribute ") + key + " cannot hold double-quotes or line ends",
                "remove them from the value");
  }
  return std::string(" ") + key + "=\"" + value + "\"";
}

// Fence, markers and content of a section; ends with LF.
std::string section_text(const Section& section, bool is_first) {
  std::string out;
  if (section.is_media()) {
    out =
        "::" + std::string(section_type_word(section.type)) + attribute("path", section.media_path);
    const bool is_audio = section.type == SectionType::kAudio;
    const auto& words = is_audio ? section.media_transcript : section.media_alt;
    if (words) out += attribute(is_audio ? "transcript" : "alt", *words);
    out += "::\n";
  } else if (section.type != SectionType::kProse || !is_first || section.adapter) {
    out = "::" + std::string(section_type_word(section.type));
    if (section.adapter) out += "#" + *section.adapter;
    out += "::\n" + marker_lines(section);
  }
  if (section.content.empty()) return out;
  CodeBlockTracker code;
  // The "x" keeps a U+FEFF at the front of the content, which is text there.
  const std::string content = normalize_newlines("x" + section.content.str());
  for (const std::string_view line : split(std::string_view(content).substr(1), '\n')) {
    out += code.feed(line) ? std::string(line) : escape_fence(line);
    out += '\n';
  }
  if (code.is_open()) {
    throw Error(ErrorKind::kParse, "a section opens a code block and does not close it",
                "add the closing fence to its text");
  }
  return out;
}

}  // namespace

std::string serialize_frontmatter(const Frontmatter& frontmatter, const SerializeOptions& options) {
  FieldWriter out(frontmatter, options.keep_written);
  out.line("---");
  out.line("dlm_id: " + yaml_string(frontmatter.dlm_id));
  out.line("dlm_version: " + text_of(int64_t{kCurrentSchemaVersion}));
  out.line("base_model: " + yaml_string(frontmatter.base_model));
  write_training(out, frontmatter, options.keep_written);
  out.open("export");
  const ExportConfig& e = frontmatter.export_config;
  out.word("default_quant", kQuantNameWords, e.default_quant, ExportConfig{}.default_quant);
  out.value_field("default_temperature",
                  e.default_temperature ? text_of(*e.default_temperature) : "null",
                  !e.default_temperature);
  out.value_field("default_top_p", e.default_top_p ? text_of(*e.default_top_p) : "null",
                  !e.default_top_p);
  out.close();
  if (frontmatter.system_prompt) out.line(yaml_block("system_prompt", *frontmatter.system_prompt));
  out.line("---");
  return out.take();
}

std::string serialize_sections(const std::vector<Section>& sections) {
  std::string out;
  for (size_t i = 0; i < sections.size(); ++i) {
    out += section_text(sections[i], i == 0);
    // An empty section keeps an empty line before what follows.
    if (sections[i].content.empty() && i + 1 < sections.size()) out += '\n';
  }
  return out;
}

std::string serialize_document(const Frontmatter& frontmatter, const std::vector<Section>& sections,
                               const SerializeOptions& options) {
  return serialize_frontmatter(frontmatter, options) + "\n" + serialize_sections(sections);
}

}  // namespace dlm
