// A loaded base with the adapter of a document's store, ready to answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bases/locate.h"
#include "data/chat_format.h"
#include "model/generate.h"
#include "support/file.h"

namespace dlm {

// How the frozen weights are held while answering.
enum class BaseWeights : uint8_t {
  kAsTrained,  // in the form on which the adapter was trained
  kFull,       // in the computing type
  kInt8,
  kNF4,  // layers in 4 bits, the head in 8
};

// Whether the adapter in that folder was trained on a base in 4 bits: `use_qlora` of its
// training_run.json; where that is missing or broken, whether its pinned_versions.json names
// bitsandbytes, which other programs quantize with.
bool was_trained_on_4_bits(const fs::path& adapter);

// The form of the base on which that adapter was trained: as its run wrote it down, else 4 bits
// where was_trained_on_4_bits, else full.
BaseFormat trained_base_of(const fs::path& adapter);

struct AnswerOptions {
  int64_t max_tokens = 256;
  SamplingOptions sampling;
  std::optional<std::string> system_prompt;
};

struct Answer {
  std::string text;
  int64_t prompt_tokens = 0;
  int64_t answer_tokens = 0;
  bool stopped = false;  // by itself; false: at the limit
};

// Throws Error(kBase) when the tokenizer has tokens that the model does not know.
void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& model, const fs::path& folder);

class Session {
 public:
  // `adapter` may be empty: the base alone. Throws Error(kBase) or Error(kInference).
  static std::unique_ptr<Session> open(const Base& base, const fs::path& adapter, Device& device,
                                       BaseWeights weights = BaseWeights::kAsTrained);

  // An exported file, which brings tokenizer and template along; `adapter`, a GGUF LoRA file, may
  // be empty. Throws Error(kIo or kFormat) naming the file, and what is wrong in
  // it.
  static std::unique_ptr<Session> open_gguf(const fs::path& model, const fs::path& adapter,
                                            Device& device, DType dtype = DType::kF32);

  // Answers one question; `on_text` gets the answer in pieces of whole characters as they come.
  // Throws Error(kInference) when the question leaves no room for an answer.
  Answer answer(std::string_view question, const AnswerOptions& options,
                const std::function<void(std::string_view)>& on_text = {});

  const ModelConfig& config() const { return decoder_->config(); }
  Decoder& decoder() { return *decoder_; }
  LoraAdapter* adapter() { return adapter_.get(); }  // null: none
  const ChatFormat& format() const { return *format_; }
  DType dtype() const { return decoder_->dtype(); }
  const BaseFormat& base_format() const { return base_format_; }

 private:
  explicit Session(Device& device) : device_(device) {}

  Device& device_;
  BaseFormat base_format_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<LoraAdapter> adapter_;
  std::unique_ptr<ChatFormat> format_;
};

}  // namespace dlm
