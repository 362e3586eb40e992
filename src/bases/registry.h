// The bases that dlm knows by a short key: who publishes each, under which licence, how large it
// is, how it is talked to and what is known of it. Tables and nothing else; it never looks at the
// disk or the network (locate.h and pull.h do).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace dlm {

enum class Modality { kText, kVisionLanguage, kAudioLanguage };

// What one picture or recording becomes.
struct MediaPlan {
  int height = 0, width = 0;  // pixels; 0 for recordings
  bool is_dynamic = false;    // the size follows the picture
  int sample_rate = 0;        // Hz; 0 for pictures
  double max_seconds = 0;
  std::string_view token = {};  // its placeholder in text
  int num_tokens = 0;
};

struct BaseInfo {
  std::string_view key = {};           // "smollm2-135m", as documents write it
  std::string_view display_name = {};  // "SmolLM2 135M Instruct"
  std::string_view hf_id = {};  // "HuggingFaceTB/SmolLM2-135M-Instruct"; empty for a bundled base
  std::string_view revision = {};      // pinned commit, 40 hex digits; empty for a bundled base
  std::string_view architecture = {};  // as config.json names it
  Modality modality = Modality::kText;
  std::string_view dialect = {};    // how it is talked to: "chatml", "llama3", …
  std::string_view gguf_arch = {};  // general.architecture of a GGUF file; empty: none
  // tokenizer.ggml.pre of a GGUF file; "default" for SentencePiece; empty: none
  std::string_view pre_tokenizer = {};
  std::string_view license = {};  // SPDX, or "Other" and "Gemma" for licences without a name there
  std::string_view license_url = {};  // where it can be read
  bool needs_acceptance = false;      // the publisher asks for consent to the licence
  bool is_redistributable = true;     // its weights may be passed on with a document
  int64_t params = 0;
  double size_gb = 0;                    // of the weights, 10^9 bytes
  int64_t context_length = 0;            // tokens
  int64_t effective_context_length = 0;  // to plan with; 0: the whole context
  int64_t recommended_sequence_len = 0;
  bool is_reasoning = false;  // tuned to think before it answers
  bool needs_remote_code = false;
  std::string_view draft_key = {};   // a smaller base of the same tokenizer and dialect
  std::string_view ollama_tag = {};  // its name in Ollama's library, where it is somebody's draft
  std::string_view capability_warning = {};  // said before training
  std::string_view provenance = {};  // where the weights come from, when not from the publisher
  MediaPlan media = {};

  int64_t planned_context() const {
    return effective_context_length > 0 ? effective_context_length : context_length;
  }
  double suggested_temperature() const { return is_reasoning ? 0.6 : 0.7; }
};

// Of text: those that this program runs. Null when no base has that key. Keys are exact: lower
// case, no blanks.
const BaseInfo* find_base(std::string_view key);
// One that sees or hears. Documents may name it, so it is known and called by its name; this
// program has no decoder for it and refuses to train or prompt it.
const BaseInfo* find_media_base(std::string_view key);
// Either.
const BaseInfo* find_any_base(std::string_view key);

// "a text base", "a vision-language base", "an audio-language base".
const char* base_of(Modality modality);

// In the order of listings: the bundled base first. Those of text.
const std::vector<BaseInfo>& known_bases();
std::vector<std::string> base_keys();
const std::vector<BaseInfo>& media_bases();

// The sizes of a base's decoder without its files, for predictions and for measuring speed.
ModelConfig shapes_of(const BaseInfo& base);

}  // namespace dlm
