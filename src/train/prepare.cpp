#include "train/prepare.h"

#include <algorithm>

#include "data/token_rows.h"
#include "engine/cpu/gemm.h"
#include "formats/safetensors.h"
#include "infer/session.h"
#include "support/hash.h"
#include "train/machine.h"
#include "train/run_record.h"

namespace dlm {

namespace {

constexpr size_t kMaxDocumentBytes = size_t{64} << 20;

// Of the files that turn text into tokens.
std::string tokenizer_digest(const fs::path& folder) {
  Sha256 hash;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                           "generation_config.json"}) {
    if (path_exists(folder / name)) {
      hash.update(std::string(name) + " " + sha256_file_hex(folder / name) + "\n");
    }
  }
  return hash.hex();
}

// Sizes of the weight files together.
uint64_t weight_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  const SafetensorsSet set = SafetensorsSet::open(folder);
  for (const SafetensorsFile& file : set.files()) bytes += fs::file_size(file.path());
  return bytes;
}

}  // namespace

std::string read_document(const fs::path& path) {
  return read_file(path, kMaxDocumentBytes);
}

Prepared prepare(std::string document_bytes, const std::string& shown_path,
                 const std::optional<std::string>& base, const BaseSearch& bases,
                 const std::function<void(const Warning&)>& on_warning) {
  Prepared p;
  p.document_bytes = std::move(document_bytes);
  p.shown_path = shown_path;
  p.document = parse_document(p.document_bytes, shown_path);
  if (on_warning) {
    for (const Warning& warning : p.document.warnings) on_warning(warning);
  }
  check_supported(p.document.frontmatter);
  const std::string key = base.value_or(p.document.frontmatter.base_model);
  p.base_stamp = weights_stamp(locate_base(key, bases));
  p.base = open_base(key, bases);
  p.model_config = load_model_config(p.base.folder);
  p.rows = rows_of(p.document);
  p.format = std::make_unique<ChatFormat>(ChatFormat::load(p.base.folder));
  if (on_warning && p.rows.num_chat > 0 && !p.format->default_template().empty()) {
    on_warning({default_template_warning(*p.format), {p.base.folder.string(), 0, 0}});
  }
  check_vocabulary(*p.format, p.model_config, p.base.folder);
  p.token_rows = tokenize_rows(p.rows, *p.format, p.document.frontmatter.system_prompt,
                               max_row_tokens(p.document.frontmatter, p.model_config), shown_path,
                               p.model_config.max_positions);
  return p;
}

PlanInput plan_input(const Prepared& p, Device& device, std::optional<int64_t> max_steps,
                     std::optional<int64_t> seed, uint64_t max_memory_bytes, bool measures_speed) {
  PlanInput in;
  in.frontmatter = &p.document.frontmatter;
  in.model = &p.model_config;
  in.base_key = p.base.key;
  in.num_rows = static_cast<int64_t>(p.token_rows.size());
  in.num_chat_rows = p.rows.num_chat;
  for (const TokenRow& row : p.token_rows) {
    const auto size = static_cast<int64_t>(row.tokens.size());
    in.num_tokens += size;
    in.longest_row = std::max(in.longest_row, size);
  }
  if (p.format->has_chat_template()) {
    // Before they exist: a prompt and an answer of about 15 tokens each.
    in.num_general_rows = static_cast<int64_t>(mixed_general_prompts().size());
    in.general_tokens = 30 * in.num_general_rows;
  }
  in.max_steps = max_steps;
  in.seed = seed;
  in.machine_has_bf16 = has_bf16_products(device.tier());
  in.num_threads = device.pool().num_threads();
  in.memory_bytes = available_memory_bytes();
  in.max_memory_bytes = max_memory_bytes;
  in.weight_file_bytes = weight_bytes(p.base.folder);
  in.program_bytes = resident_bytes();
  if (measures_speed) {
    in.gflops = measure_gflops(device, in.machine_has_bf16 ? DType::kBF16 : DType::kF32);
  }
  return in;
}

LoraOptions lora_options(const Prepared& p, const TrainingPlan& plan) {
  LoraOptions options = lora_options(plan);
  options.base_name = p.base.key;
  options.base_revision = p.base.revision;
  return options;
}

LoopRows split_rows(const Prepared& p, const TrainingPlan& plan, GeneralRows general) {
  LoopRows rows;
  rows.general = std::move(general);
  rows.document = p.shown_path;
  for (const DocumentRow& row : p.rows.rows) rows.lines.push_back(row.line);
  std::vector<TokenRow> conversations;
  for (const TokenRow& row : p.token_rows) {
    const DocumentRow& source = p.rows.rows[row.source];
    if (plan.holds_out && is_validation_row(source, plan.seed, 0.1)) {
      rows.judged.push_back(row);
      continue;
    }
    rows.train.push_back(row);
    if (source.kind == RowKind::kChat) conversations.push_back(row);
  }
  if (rows.judged.empty()) rows.judged = conversations.empty() ? rows.train : conversations;
  if (rows.train.empty()) rows.train = rows.judged;
  return rows;
}

RunInputs run_inputs(const Prepared& p) {
  RunInputs in;
  in.base = p.base.key;
  in.base_revision = p.base.revision;
  in.rows_sha256 = rows_digest(p.token_rows);
  in.prompt_sha256 = sha256_hex(p.document.frontmatter.system_prompt.value_or(""));
  in.tokenizer_sha256 = tokenizer_digest(p.base.folder);
  return in;
}

}  // namespace dlm
