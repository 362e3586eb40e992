#include "train/prepare.h"

#include <algorithm>
#include <iterator>

#include "data/row_report.h"
#include "data/row_weights.h"
#include "data/split.h"
#include "engine/cpu/gemm.h"
#include "engine/random.h"
#include "infer/session.h"
#include "model/weights.h"
#include "store/store_layout.h"
#include "support/error.h"
#include "support/hash.h"
#include "train/machine.h"
#include "train/run_record.h"

namespace dlm {

namespace {

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

}  // namespace

void refuse_media(const Document& document, const std::string& base_key) {
  for (const Section& section : document.sections) {
    if (!section.is_media()) continue;
    throw Error(ErrorKind::kTrain,
                std::string("base ") + base_key + " reads text only, and this is an " +
                    section_type_word(section.type) + " section",
                "remove the section, or write what it shows as prose",
                Place{document.path.string(), section.start_line, 1});
  }
}

namespace {

size_t text_bytes(const DocumentRows& rows) {
  size_t bytes = 0;
  for (const DocumentRow& row : rows.rows) bytes += row.num_bytes();
  return bytes;
}

// What a document says of itself is its author's choice, so it is trained.
void warn_of_secrets(const Document& document,
                     const std::function<void(const Warning&)>& on_warning) {
  for (const Section& section : document.sections) {
    const auto found = find_secret(section.content);
    if (!found) continue;
    const int line = section.content_line + static_cast<int>(found->line) - 1;
    on_warning({std::string("this looks like ") + secret_words(found->kind) +
                    "; the model learns it, and may tell it to anyone",
                {document.path.string(), line}});
  }
}

void add_sources(Prepared& p, const PrepareOptions& asked,
                 const std::function<void(const Warning&)>& on_warning) {
  if (on_warning) warn_of_secrets(p.document, on_warning);
  SourceOptions options;
  options.document = asked.document;
  options.allows_secrets = asked.allows_secrets;
  options.now_unix_seconds = asked.now_unix_seconds;
  if (!asked.home.empty()) {
    options.index = source_index_path(asked.home, p.document.frontmatter);
  }
  p.sources = read_sources(p.document, options);
  for (Section& section : p.sources.sections) p.document.sections.push_back(std::move(section));
  p.sources.sections.clear();
  if (!on_warning) return;
  for (const Warning& warning : p.sources.warnings) on_warning(warning);
}

void make_rows(Prepared& p, const std::function<void(const Warning&)>& on_warning) {
  p.rows = rows_of(p.document);
  for (const Warning& warning : drop_repeated_rows(p.rows, p.shown_path)) {
    if (on_warning) on_warning(warning);
  }
}

// Of the rows, for the base whose folder is known.
void make_token_rows(Prepared& p, const std::function<void(const Warning&)>& on_warning,
                     const PrepareOptions& asked) {
  p.format = std::make_unique<ChatFormat>(ChatFormat::load(p.base.folder));
  if (on_warning && p.rows.num_chat > 0 && !p.format->default_template().empty()) {
    on_warning({default_template_warning(*p.format), {p.base.folder.string(), 0, 0}});
  }
  check_vocabulary(p.format->tokenizer(), p.model_config, p.base.folder);
  if (asked.uses_token_cache && p.document.frontmatter.training.cache.enabled &&
      text_bytes(p.rows) >= kTokenCacheFromBytes) {
    const StoreLayout store(asked.home, p.document.frontmatter.dlm_id);
    p.cached_tokens = std::make_unique<CachedTokens>(
        CachedTokens{TokenCache(store.tokenized_cache()), tokenizer_digest(p.base.folder), {}});
  }
  p.rows_hash = {};
  p.outlines = outline_rows(p.rows, *p.format, p.document.frontmatter.system_prompt,
                            max_row_tokens(p.document.frontmatter, p.model_config), p.shown_path,
                            p.model_config.max_positions, p.cached_tokens.get(),
                            [&](const TokenRow& row) { add_row(p.rows_hash, row); });
  if (p.cached_tokens && on_warning) {
    const Place place{p.cached_tokens->cache.folder().string(), 0, 0};
    for (const std::string& what : p.cached_tokens->cache.warnings()) on_warning({what, place});
  }
}

Prepared parsed(std::string document_bytes, const std::string& shown_path,
                const std::function<void(const Warning&)>& on_warning) {
  Prepared p;
  p.document_bytes = std::move(document_bytes);
  p.shown_path = shown_path;
  p.document = parse_document(p.document_bytes, shown_path);
  if (on_warning) {
    for (const Warning& warning : p.document.warnings) on_warning(warning);
  }
  return p;
}

// Where the store's runs have settled what a name on the hub stands for.
BaseSearch with_commits(BaseSearch bases, const PrepareOptions& asked, const Frontmatter& front) {
  if (!asked.home.empty() && bases.commits.empty()) {
    bases.commits = pinned_commits(StoreLayout(asked.home, front.dlm_id));
  }
  return bases;
}

}  // namespace

fs::path source_index_path(const fs::path& home, const Frontmatter& frontmatter) {
  return StoreLayout(home, frontmatter.dlm_id).cache() / "source-index.bin";
}

std::string read_document(const fs::path& path) {
  return read_file(path, kMaxDocumentBytes);
}

Prepared prepare(std::string document_bytes, const std::string& shown_path,
                 const std::optional<std::string>& base, const BaseSearch& bases,
                 const std::function<void(const Warning&)>& on_warning,
                 const PrepareOptions& asked) {
  Prepared p = parsed(std::move(document_bytes), shown_path, on_warning);
  check_supported(p.document.frontmatter);
  add_sources(p, asked, on_warning);
  const std::string key = base.value_or(p.document.frontmatter.base_model);
  const BaseSearch search = with_commits(bases, asked, p.document.frontmatter);
  p.base_stamp = weights_stamp(locate_base(key, search));
  p.base = open_base(key, search);
  refuse_media(p.document, p.base.key);
  p.model_config = load_model_config(p.base.folder);
  make_rows(p, on_warning);
  make_token_rows(p, on_warning, asked);
  return p;
}

Prepared prepare_document(std::string document_bytes, const std::string& shown_path,
                          const std::function<void(const Warning&)>& on_warning,
                          const PrepareOptions& asked) {
  Prepared p = parsed(std::move(document_bytes), shown_path, on_warning);
  add_sources(p, asked, on_warning);
  make_rows(p, on_warning);
  return p;
}

void open_for_base(Prepared& p, const std::string& base, const BaseSearch& bases,
                   const std::function<void(const Warning&)>& on_warning) {
  p.base = {base, locate_base(base, bases), {}, {}};
  p.model_config = load_model_config(p.base.folder);
  make_token_rows(p, on_warning, {});
}

Prepared prepare_rows(std::string document_bytes, const std::string& shown_path,
                      const std::optional<std::string>& base, const BaseSearch& bases,
                      const std::function<void(const Warning&)>& on_warning,
                      const PrepareOptions& asked) {
  Prepared p = prepare_document(std::move(document_bytes), shown_path, on_warning, asked);
  open_for_base(p, base.value_or(p.document.frontmatter.base_model),
                with_commits(bases, asked, p.document.frontmatter), on_warning);
  return p;
}

TokenRow token_row(const Prepared& p, const RowOutline& outline) {
  return make_row(outline, p.rows, *p.format, p.document.frontmatter.system_prompt);
}

TokenRows token_rows(const Prepared& p, std::vector<RowOutline> outlines) {
  return {std::move(outlines), [&p](const RowOutline& outline) { return token_row(p, outline); }};
}

TokenRows token_rows(const Prepared& p) {
  return token_rows(p, p.outlines);
}

std::span<const DocumentRow> add_rows(Prepared& p, DocumentRows more) {
  std::vector<TokenRow> made;  // few: what left the document
  std::vector<RowOutline> outlines = outline_rows(
      more, *p.format, p.document.frontmatter.system_prompt,
      max_row_tokens(p.document.frontmatter, p.model_config), p.shown_path,
      p.model_config.max_positions, nullptr, [&](const TokenRow& row) { made.push_back(row); });
  const size_t first = p.rows.rows.size();
  std::move(more.rows.begin(), more.rows.end(), std::back_inserter(p.rows.rows));
  for (RowOutline& outline : outlines) {
    outline.source += static_cast<uint32_t>(first);
    p.outlines.push_back(outline);
  }
  for (const TokenRow& row : made) add_row(p.rows_hash, row);
  return std::span(p.rows.rows).subspan(first);
}

PlanInput plan_input(const Prepared& p, Device& device, std::optional<int64_t> max_steps,
                     std::optional<int64_t> seed, uint64_t max_memory_bytes) {
  PlanInput in;
  in.frontmatter = &p.document.frontmatter;
  in.model = &p.model_config;
  in.base_key = p.base.key;
  in.row_notes =
      describe_rows(p.rows, p.outlines, max_row_tokens(p.document.frontmatter, p.model_config));
  const std::vector<int64_t> copies =
      row_copies(p, seed.value_or(p.document.frontmatter.training.seed));
  for (size_t i = 0; i < p.outlines.size(); ++i) {
    const int64_t size = p.outlines[i].num_tokens;
    in.num_rows += copies[i];
    in.num_tokens += copies[i] * size;
    in.longest_row = std::max(in.longest_row, size);
  }
  in.num_chat_rows = num_trained_pairs(p, copies);
  if (const auto size = static_cast<int64_t>(p.outlines.size()); in.num_rows != size) {
    in.row_notes.push_back(std::to_string(in.num_rows) + " rows after the weights of their tags");
  }
  if (p.format->has_chat_template()) {
    in.num_general_rows = static_cast<int64_t>(mixed_general_prompts().size());
    in.general_tokens = kGeneralRowTokens * in.num_general_rows;
  }
  in.max_steps = max_steps;
  in.seed = seed;
  in.machine_has_bf16 = has_bf16_products(device.tier());
  in.num_threads = device.pool().num_threads();
  in.memory_bytes = available_memory_bytes();
  in.max_memory_bytes = max_memory_bytes;
  in.stored_type = check_weight_files(p.base.folder, p.model_config);
  in.program_bytes = resident_bytes();
  return in;
}

LoraOptions lora_options(const Prepared& p, const TrainingPlan& plan) {
  LoraOptions options = lora_options(plan);
  options.base_name = p.base.key;
  options.base_revision = p.base.revision;
  return options;
}

std::vector<int64_t> row_copies(const Prepared& p, int64_t seed) {
  std::vector<int64_t> copies;
  copies.reserve(p.outlines.size());
  bool is_any = p.outlines.empty();
  for (const RowOutline& row : p.outlines) {
    const DocumentRow& source = p.rows.rows[row.source];
    copies.push_back(num_copies(source.section->weight, seed, source.section->id));
    is_any = is_any || copies.back() > 0;
  }
  if (!is_any) {
    throw Error(ErrorKind::kTrain, "weights dropped every row",
                "raise a weight in .dlm/training.yaml: all rows have tags with weight 0");
  }
  return copies;
}

int64_t num_trained_pairs(const Prepared& p, const std::vector<int64_t>& copies) {
  int64_t count = 0;
  for (size_t i = 0; i < copies.size(); ++i) {
    count += copies[i] > 0 && p.rows.rows[p.outlines[i].source].kind == RowKind::kChat;
  }
  return count;
}

std::vector<bool> held_out(const Prepared& p, int64_t seed) {
  constexpr double kHeldOut = 0.1;
  const auto row_at = [&](size_t i) -> SplitRow {
    const RowOutline& row = p.outlines[i];
    const DocumentRow& source = p.rows.rows[row.source];
    const bool must_train = source.origin == RowOrigin::kReplay;
    if (source.kind == RowKind::kChat) return {{source.question(), source.answer()}, must_train};
    return {{{}, source.text().substr(row.text_begin, row.text_end - row.text_begin)}, must_train};
  };
  return held_out_rows(p.outlines.size(), row_at, seed, kHeldOut);
}

LoopRows split_rows(const Prepared& p, const TrainingPlan& plan, GeneralRows general) {
  LoopRows rows;
  rows.general = std::move(general);
  rows.document = p.shown_path;
  for (const DocumentRow& row : p.rows.rows) rows.lines.push_back(row.line);
  const std::vector<int64_t> copies = row_copies(p, plan.seed);
  std::vector<bool> held;
  if (plan.holds_out) held = held_out(p, plan.seed);
  std::vector<RowOutline> train, judged, conversations;
  for (size_t i = 0; i < p.outlines.size(); ++i) {
    const RowOutline& row = p.outlines[i];
    if (copies[i] == 0) continue;
    if (plan.holds_out && held[i]) {
      judged.push_back(row);
      continue;
    }
    // Copies are trained with dropout of their own.
    for (int64_t copy = 0; copy < copies[i]; ++copy) {
      train.push_back(row);
      if (copy > 0) train.back().id = random_key({row.id, static_cast<uint64_t>(copy)});
    }
    if (p.rows.rows[row.source].kind == RowKind::kChat) conversations.push_back(row);
  }
  if (train.empty()) train = judged;
  if (judged.empty()) judged = conversations.empty() ? train : std::move(conversations);
  rows.train = token_rows(p, std::move(train));
  rows.judged = token_rows(p, std::move(judged));
  return rows;
}

RunInputs run_inputs(const Prepared& p) {
  RunInputs in;
  in.base = p.base.key;
  in.base_revision = p.base.revision;
  in.rows_sha256 = p.rows_hash.hex();
  const bool is_weighted =
      std::any_of(p.rows.rows.begin(), p.rows.rows.end(),
                  [](const DocumentRow& row) { return row.section->weight != 1.0; });
  if (is_weighted) {
    Sha256 hash;
    hash.update(in.rows_sha256);
    for (const DocumentRow& row : p.rows.rows)
      hash.update(std::as_bytes(std::span(&row.section->weight, 1)));
    in.rows_sha256 = hash.hex();
  }
  in.prompt_sha256 = sha256_hex(p.document.frontmatter.system_prompt.value_or(""));
  in.tokenizer_sha256 = tokenizer_digest(p.base.folder);
  return in;
}

}  // namespace dlm
