// Proof that exported files answer as the trained model does. They are read by another way than
// they were written (exported_model.h). Both models see the same rows of the document; what is
// compared are their distributions of each token that was trained, their tokenizers, and their
// answers to some questions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "export/exported_model.h"
#include "export/mixture.h"
#include "model/decoder.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

// What a file must keep to. Divergences are Kullback-Leibler, trained || exported, in nats.
struct ProofLimits {
  double max_kl = 0;  // mean over tokens
  // Share of tokens whose likeliest successor is the same, 0 to 1. It counts only where the mean
  // divergence is above a tenth of its limit: below, the others are ties.
  double min_agreement = 0;
  // Share of texts that both tokenizers read alike. Not all, since some bases normalise characters
  // before they look at them, which GGUF files cannot express.
  double min_same_texts = 0.9;

  bool operator==(const ProofLimits&) const = default;
};

// Of each quant; docs/proof.md says where they come from.
ProofLimits proof_limits(Quant quant);
// The same of a file for an adapter that was trained on rounded weights: those in the file shift
// the model by what that rounding costs, so the limits are not below those of the quant of as many
// bits.
ProofLimits gguf_limits(Quant quant, const BaseFormat& trained_on);
// Of files that are not quantized: weights merged and rounded to the base's own type, or an adapter
// in numbers of its own beside the base.
ProofLimits merged_limits(const BaseFormat& trained_on);
ProofLimits adapter_limits(const BaseFormat& trained_on);

struct ProofQuestion {
  std::string question;
  // The document's answer: a guess of the model's, which is faster where it is right.
  std::string written;
};

struct ProofRequest {
  // The trained model: a decoder, its adapter (null: none) and the base's own format. The decoder
  // may be held in any form; what was exported is run in its computing type. bf16 is faster where
  // the processor has it, and its rounding moves a divergence by about 1e-5.
  Decoder* decoder = nullptr;
  LoraAdapter* adapter = nullptr;
  const ChatFormat* format = nullptr;
  // What was exported.
  const ExportedModel* exported = nullptr;
  std::optional<Quant> quant;  // none: not quantized
  ProofLimits limits;
  // The document's rows, of which some are taken, and its questions, of which the first are asked.
  TokenRows rows;
  std::vector<ProofQuestion> questions;
  std::optional<std::string> system_prompt;
  // Of all rows together and of one of several, prompts included. Where every prompt is longer, the
  // one with the shortest gives the beginning of its answer.
  int64_t max_tokens = 256;
  int64_t max_row_tokens = 128;
  int64_t max_questions = 2;
  int64_t max_answer_tokens = 16;
};

struct ProofAnswer {
  std::string question;
  std::string trained;  // greedy
  std::string exported;
  bool is_same_prompt = false;  // token for token, from the file's own template and tokenizer
  bool is_equal() const { return trained == exported; }
};

struct ProofResult {
  std::string module;  // which adapter, where an export serves several; else ""
  std::optional<Quant> quant;
  ProofLimits limits;
  int64_t rows = 0;      // compared
  int64_t tokens = 0;    // labelled tokens compared
  double agreement = 0;  // 0 to 1
  double mean_kl = 0;
  double p99_kl = 0;
  double max_kl = 0;
  double trained_perplexity = 0;
  double exported_perplexity = 0;
  // Texts of rows, and prompts of questions by each model's own template, that become the same
  // tokens, of how many.
  int64_t texts = 0;
  int64_t same_texts = 0;
  std::string first_other_text;  // of those that do not
  std::vector<ProofAnswer> answers;
  // A second form of the adapter among the files, loaded back: where it is not the trained one, bit
  // for bit. None: there is no such form.
  std::optional<std::string> adapter_difference;
  std::vector<ProvedFile> files;

  // What is below the limits, in sentences; empty when the proof holds. Answers that differ in
  // words are no fault by themselves.
  std::vector<std::string> faults() const;
  bool holds() const { return faults().empty(); }
};

// Runs both models in turns: the pages of one are released before the other's weights are read.
// Which rows are taken follows from their content. Throws Error(kFormat) or Error(kBase) for a file
// that cannot be run, Error(kExport) when there is nothing to compare (no row with a labelled
// token).
ProofResult prove_export(const ProofRequest& request, Device& device);

// The content of export_proof.json: neither time nor path, so that the same export gives the same
// bytes. Of one proof its figures; of several a list of them. proof_text() is the same for a
// screen, some lines.
Json proof_json(const ProofResult& result);
Json proofs_json(const std::vector<ProofResult>& results);
std::string proof_text(const ProofResult& result);
// The limits that such a file states for a module; none where it does not know it.
std::optional<ProofLimits> stated_limits(const Json& json, const std::string& module);

}  // namespace dlm
