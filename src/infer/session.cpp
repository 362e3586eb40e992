#include "infer/session.h"

#include <algorithm>

#include "formats/gguf.h"
#include "model/gguf_vocabulary.h"
#include "support/error.h"
#include "support/interrupt.h"

namespace dlm {

void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& model,
                      const fs::path& folder) {
  const auto num_tokens = static_cast<int64_t>(tokenizer.vocab_size());
  if (num_tokens <= model.vocab_size) return;
  throw Error(ErrorKind::kBase,
              "the tokenizer has " + std::to_string(num_tokens) + " tokens, the model " +
                  std::to_string(model.vocab_size),
              "tokenizer and weights do not belong together", {folder.string(), 0, 0});
}

namespace {

std::optional<Json> read_if_sound(const fs::path& path) {
  try {
    return parse_json(read_file(path));
  } catch (const Error&) {
    return std::nullopt;  // adapters of other programs have no such file
  }
}

// The form that a run of this program wrote down.
std::optional<BaseFormat> recorded_base_format(const fs::path& adapter) {
  const auto run = read_if_sound(adapter / "training_run.json");
  const Json* plan = run && run->is_object() ? run->find("plan") : nullptr;
  const Json* word = plan != nullptr && plan->is_object() ? plan->find("base_weights") : nullptr;
  if (word == nullptr || !word->is_string()) return std::nullopt;
  return trained_base_format(word->as_string());
}

}  // namespace

bool was_trained_on_4_bits(const fs::path& adapter) {
  if (const auto run = read_if_sound(adapter / "training_run.json"); run && run->is_object()) {
    const Json* flag = run->find("use_qlora");
    if (flag != nullptr && flag->is_bool()) return flag->as_bool();
  }
  const auto versions = read_if_sound(adapter / "pinned_versions.json");
  if (!versions || !versions->is_object()) return false;
  const Json* quantizer = versions->find("bitsandbytes");
  return quantizer != nullptr && quantizer->is_string() && !quantizer->as_string().empty();
}

BaseFormat trained_base_of(const fs::path& adapter) {
  if (const auto recorded = recorded_base_format(adapter)) return *recorded;
  return was_trained_on_4_bits(adapter) ? BaseFormat::qlora() : BaseFormat{};
}

namespace {

BaseFormat format_of(BaseWeights weights, const fs::path& adapter) {
  switch (weights) {
    case BaseWeights::kAsTrained:
      return adapter.empty() ? BaseFormat{} : trained_base_of(adapter);
    case BaseWeights::kFull:
      return {};
    case BaseWeights::kInt8:
      return BaseFormat::int8();
    case BaseWeights::kNF4:
      return BaseFormat::nf4();
  }
  return {};
}

}  // namespace

std::unique_ptr<Session> Session::open(const Base& base, const fs::path& adapter, Device& device,
                                       BaseWeights weights) {
  std::unique_ptr<Session> session(new Session(device));
  session->format_ = std::make_unique<ChatFormat>(ChatFormat::load(base.folder));
  session->base_format_ = format_of(weights, adapter);
  session->decoder_ = Decoder::load_to_answer(base.folder, adapter, device.preferred_dtype(),
                                              session->base_format_, device);
  check_vocabulary(session->format_->tokenizer(), session->decoder_->config(), base.folder);
  if (!adapter.empty()) session->adapter_ = LoraAdapter::load(adapter, *session->decoder_);
  return session;
}

std::unique_ptr<Session> Session::open_gguf(const fs::path& model, const fs::path& adapter,
                                            Device& device, DType dtype) {
  std::unique_ptr<Session> session(new Session(device));
  const GgufFile file = GgufFile::open(model);
  session->decoder_ = Decoder::load_gguf(file, dtype);
  session->format_ =
      std::make_unique<ChatFormat>(ChatFormat::from_vocabulary(gguf_vocabulary(file), model));
  check_vocabulary(session->format_->tokenizer(), session->config(), model);
  if (!adapter.empty()) {
    session->adapter_ = LoraAdapter::load_gguf(GgufFile::open(adapter), *session->decoder_);
  }
  return session;
}

Answer Session::answer(std::string_view question, const AnswerOptions& options,
                       const std::function<void(std::string_view)>& on_text) {
  const std::vector<int32_t> prompt = format_->prompt(question, options.system_prompt);
  const auto prompt_tokens = static_cast<int64_t>(prompt.size());
  const int64_t context = decoder_->config().max_positions;
  if (prompt_tokens >= context) {
    throw Error(ErrorKind::kInference,
                "the prompt has " + std::to_string(prompt_tokens) +
                    " tokens, the base's context is " + std::to_string(context),
                "shorten the question");
  }
  const int64_t capacity = std::min(context, prompt_tokens + options.max_tokens);
  Generator generator(*decoder_, adapter_.get(), device_, capacity);
  TokenStream stream(format_->tokenizer());
  Answer out;
  out.prompt_tokens = prompt_tokens;
  const auto emit = [&](const std::string& text) {
    if (text.empty()) return;
    out.text += text;
    if (on_text) on_text(text);
  };
  const Generation said = generate(generator, prompt, capacity - prompt_tokens,
                                   format_->stop_tokens(), options.sampling, [&](int32_t token) {
                                     check_interrupted();
                                     emit(stream.push(token));
                                     return true;
                                   });
  emit(stream.flush());
  out.answer_tokens = static_cast<int64_t>(said.tokens.size());
  out.stopped = said.stopped;
  return out;
}

}  // namespace dlm
