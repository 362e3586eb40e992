// What a run reads before its first step, and what follows from it: the input of the plan, the rows
// of the loop, the options of the adapter, the digests that tell this run's inputs from another's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bases/locate.h"
#include "data/chat_format.h"
#include "data/rows.h"
#include "data/source_sections.h"
#include "data/token_rows.h"
#include "doc/document.h"
#include "model/lora.h"
#include "train/loop.h"
#include "train/plan.h"
#include "train/run_state.h"

namespace dlm {

struct Prepared {
  SharedText document_bytes;
  std::string shown_path;  // of the document, for messages
  Document document;
  Base base;
  std::string base_stamp;  // weights_stamp() of before the digest was taken
  ModelConfig model_config;
  std::unique_ptr<ChatFormat> format;
  SourceSections sources;  // their sections stand behind the document's own
  DocumentRows rows;
  std::vector<RowOutline> outlines;             // of the rows for this base
  Sha256 rows_hash;                             // over them
  std::unique_ptr<CachedTokens> cached_tokens;  // null: the token cache is not used
};

// Documents with less text are tokenized faster than a cache of them would be written.
inline constexpr size_t kTokenCacheFromBytes = size_t{1} << 20;

struct PrepareOptions {
  fs::path document;  // where it lies, for its sources; empty: shown_path
  fs::path home;      // of the stores, for the index of source files; empty: none is used
  bool uses_token_cache = false;  // reads the one of the document's store
  bool allows_secrets = false;    // source files with what looks like a secret are taken
  int64_t now_unix_seconds = 0;
};

// Parses the document's bytes, reads its sources and opens its base, or `base` instead. Throws what
// each part throws.
Prepared prepare(std::string document_bytes, const std::string& shown_path,
                 const std::optional<std::string>& base, const BaseSearch& bases,
                 const std::function<void(const Warning&)>& on_warning = {},
                 const PrepareOptions& asked = {});
// The same without what only a run needs: the digest of the base's weights and the token cache.
Prepared prepare_rows(std::string document_bytes, const std::string& shown_path,
                      const std::optional<std::string>& base, const BaseSearch& bases,
                      const std::function<void(const Warning&)>& on_warning = {},
                      const PrepareOptions& asked = {});
// The first part of that, before any base is opened: the document, its sources and its rows.
Prepared prepare_document(std::string document_bytes, const std::string& shown_path,
                          const std::function<void(const Warning&)>& on_warning = {},
                          const PrepareOptions& asked = {});
// The second part: token rows for this base, in the place of those for another.
void open_for_base(Prepared& p, const std::string& base, const BaseSearch& bases,
                   const std::function<void(const Warning&)>& on_warning = {});
// One of its rows with its tokens.
TokenRow token_row(const Prepared& p, const RowOutline& outline);
// All of its rows, or some. Refers to `p`.
TokenRows token_rows(const Prepared& p);
TokenRows token_rows(const Prepared& p, std::vector<RowOutline> outlines);
TokenRows token_rows(Prepared&&) = delete;
// Adds rows of another document behind those of this one and returns them. Throws what
// outline_rows throws, and then adds none.
std::span<const DocumentRow> add_rows(Prepared& p, DocumentRows more);
// Throws Error(kTrain) at the first image or recording, which a base of text would leave out in
// silence.
void refuse_media(const Document& document, const std::string& base_key);
// Where a document's store keeps what is known of its source files.
fs::path source_index_path(const fs::path& home, const Frontmatter& frontmatter);
std::string read_document(const fs::path& path);

// Without the machine's rate (roofs.h): the plan then tells no time. max_memory_bytes is what the
// user allows, or 0.
PlanInput plan_input(const Prepared& p, Device& device, std::optional<int64_t> max_steps,
                     std::optional<int64_t> seed, uint64_t max_memory_bytes);
LoraOptions lora_options(const Prepared& p, const TrainingPlan& plan);
// How often each token row is trained, by the weight of its tags; 0 drops it. Throws Error(kTrain)
// when the weights drop every row.
std::vector<int64_t> row_copies(const Prepared& p, int64_t seed);
// Pairs that are trained at least once.
int64_t num_trained_pairs(const Prepared& p, const std::vector<int64_t>& copies);
// Which token rows are held out to judge by, when any are.
std::vector<bool> held_out(const Prepared& p, int64_t seed);
// Refers to `p`.
LoopRows split_rows(const Prepared& p, const TrainingPlan& plan, GeneralRows general);
LoopRows split_rows(Prepared&&, const TrainingPlan&, GeneralRows) = delete;

// Inputs but for the adapter's configuration, which the adapter itself gives.
RunInputs run_inputs(const Prepared& p);

}  // namespace dlm
