// Proof that an exported GGUF file answers as the trained model does. The file is read by another
// way than it was written: sizes, rope, tokenizer, template and flags come from the file alone, and
// the model runs on its quantized blocks. Both models see the same rows of the document; what is
// compared are their distributions of each token that was trained, their tokenizers, and their
// answers to some questions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "export/mixture.h"
#include "model/decoder.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

// What a file must keep to. Divergences are Kullback-Leibler, trained || exported, in nats.
struct ProofLimits {
  double max_kl = 0;         // mean over tokens
  double min_agreement = 0;  // share of tokens whose likeliest successor is the same, 0 to 1
  // Share of texts that both tokenizers read alike. Not all, since some bases normalise characters
  // before they look at them, which GGUF files cannot express.
  double min_same_texts = 0.9;

  bool operator==(const ProofLimits&) const = default;
};

// Of each quant; docs/proof.md says where they come from.
ProofLimits proof_limits(Quant quant);

struct ProofRequest {
  // The trained model: a decoder, its adapter (null: none) and the base's own format. The decoder
  // may be of any computing type and held in any form. In f32 the figures are of the file alone; in
  // bf16 the rounding of activations is in them too, of about 1e-3.
  Decoder* decoder = nullptr;
  LoraAdapter* adapter = nullptr;
  const ChatFormat* format = nullptr;
  // What was exported.
  fs::path gguf;
  fs::path gguf_adapter;  // empty: none
  Quant quant = Quant::kQ4_K_M;
  ProofLimits limits;
  // The document's rows, of which some are taken, and its questions, of which the first are asked.
  std::span<const TokenRow> rows;
  std::vector<std::string> questions;
  std::optional<std::string> system_prompt;
  int64_t max_tokens = 2048;  // of all rows together
  int64_t max_questions = 3;
  int64_t max_answer_tokens = 32;
};

struct ProofAnswer {
  std::string question;
  std::string trained;  // greedy
  std::string exported;
  bool is_same_prompt = false;  // token for token, from the file's own template and tokenizer
  bool is_equal() const { return trained == exported; }
};

struct ProofResult {
  Quant quant = Quant::kQ4_K_M;
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
  std::string gguf_sha256;
  std::string gguf_adapter_sha256;  // "" without one

  // What is below the limits, in sentences; empty when the proof holds. Answers that differ in
  // words are no fault by themselves.
  std::vector<std::string> faults() const;
  bool holds() const { return faults().empty(); }
};

// Runs both models; the file in f32. Which rows are taken follows from their content. Throws
// Error(kFormat) or Error(kBase) for a file that cannot be run, Error(kExport) when there is
// nothing to compare (no row with a labelled token).
ProofResult prove_export(const ProofRequest& request, Device& device);

// The content of export_proof.json: neither time nor path, so that the same export gives the same
// bytes. proof_text() is the same for a screen, some lines.
Json proof_json(const ProofResult& result);
std::string proof_text(const ProofResult& result);

}  // namespace dlm
