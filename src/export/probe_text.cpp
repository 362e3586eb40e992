#include "export/pre_tokenizer_label.h"
#include "export/probe_parts.h"
#include "infer/session.h"
#include "support/text.h"
#include "text/bpe_lists.h"

namespace dlm {
namespace {

constexpr const char* kTokenizer = "tokenizer";
constexpr const char* kChatTemplate = "chat_template";
constexpr const char* kPreTokenizer = "pre_tokenizer";
constexpr std::string_view kPieces = "default";  // the label of all of SentencePiece
constexpr size_t kMostBytes = size_t{256} << 20;
constexpr const char* kApart = "tokenizer.json and tokenizer_config.json do not belong together";

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

// What is wrong with the ids that config.json gives special tokens.
void check_special_ids(const ModelConfig& config, const fs::path& folder) {
  const auto check_id = [&](const char* key, int64_t id) {
    if (id < config.vocab_size) return;
    throw Error(ErrorKind::kBase,
                in_quotes(key) + " is " + std::to_string(id) + ", the embedding has " +
                    std::to_string(config.vocab_size) + " rows",
                "use the config.json that came with the weights; --skip-probes trains it all the "
                "same",
                {(folder / "config.json").string()});
  };
  if (config.bos_token_id) check_id("bos_token_id", *config.bos_token_id);
  for (const int64_t id : config.eos_token_ids) check_id("eos_token_id", id);
}

// Faults of the padding token. No row is padded here, so they stop nothing.
std::string padding_warning(const ProbedBase& base, const Json& config) {
  const auto pad = named_token(config, "pad_token");
  if (pad && !base.tokenizer->token_id(*pad)) {
    return "pad_token " + in_quotes(*pad) + " is not in tokenizer.json";
  }
  if (pad && pad == named_token(config, "eos_token")) {
    return "pad_token and eos_token are both " + in_quotes(*pad);
  }
  if (base.config && base.config->pad_token_id.value_or(0) >= base.config->vocab_size) {
    return "pad_token_id is no row of the embedding";
  }
  return {};
}

}  // namespace

Probe probe_tokenizer(ProbedBase& base) {
  const fs::path config_path = base.folder / "tokenizer_config.json";
  Json config;
  try {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      check_base_json(base.folder, name);
    }
    Tokenizer tokenizer = Tokenizer::load(base.folder / "tokenizer.json");
    config = parse_json(read_file(config_path, kMostBytes), config_path.string());
    const auto eos = named_token(config, "eos_token");
    if (eos && !tokenizer.token_id(*eos)) {
      throw Error(ErrorKind::kBase, "eos_token " + in_quotes(*eos) + " is not in tokenizer.json",
                  kApart, {config_path.string()});
    }
    if (base.config) {
      check_vocabulary(tokenizer, *base.config, base.folder);
      check_special_ids(*base.config, base.folder);
    }
    base.tokenizer = std::move(tokenizer);
  } catch (const Error& error) {
    return failed_probe(kTokenizer, error);
  }
  std::string detail = std::to_string(base.tokenizer->vocab_size()) + " tokens";
  if (base.config) {
    detail += " in " + std::to_string(base.config->vocab_size) + " rows of the embedding";
  }
  const std::string warning = padding_warning(base, config);
  if (warning.empty()) return {kTokenizer, ProbeState::kPassed, detail, {}};
  return {kTokenizer, ProbeState::kWarned, detail + "; " + warning,
          "nothing to do here, where rows are never padded; other programs must not take padding "
          "for the end of a text"};
}

Probe probe_chat_template(ProbedBase& base) {
  if (!base.tokenizer) return skipped_probe(kChatTemplate, "the tokenizer is not understood");
  try {
    ChatFormat format = ChatFormat::load(base.folder);
    if (!format.has_chat_template() && format.default_template().empty()) {
      base.format = std::move(format);
      return {kChatTemplate, ProbeState::kWarned,
              "the base has no chat template, and its tokenizer no token that could end a turn",
              "train prose alone, or take a base that was trained for chat"};
    }
    base.format = std::move(format);
  } catch (const Error& error) {
    return failed_probe(kChatTemplate, error);
  }
  const ChatFormat& format = *base.format;
  std::string end;
  try {
    const TokenRow row = format.conversation("What is 2 + 2?", "4", std::nullopt);
    check(row.loss_begin && *row.loss_begin < row.tokens.size(), "an answer without loss");
    const int32_t last = row.tokens.back();
    end = format.tokenizer().decode(std::span(&last, 1), false);
  } catch (const Error& error) {
    base.format.reset();
    return {kChatTemplate, ProbeState::kFailed, error.what(),
            error.hint() + (error.hint().empty() ? "" : "; ") +
                "--skip-probes trains prose all the same"};
  }
  std::string detail = "answers end with " + in_quotes(end);
  try {
    format.prompt("What is 2 + 2?", "Be brief.");
  } catch (const Error&) {
    detail += "; it takes no system prompt";
  }
  if (format.default_template().empty()) return {kChatTemplate, ProbeState::kPassed, detail, {}};
  return {kChatTemplate, ProbeState::kWarned, default_template_warning(format) + "; " + detail,
          "take a base that was trained for chat, if there is one of this size"};
}

Probe probe_pre_tokenizer(const ProbedBase& base) {
  if (!base.tokenizer) return skipped_probe(kPreTokenizer, "the tokenizer is not understood");
  const fs::path path = base.folder / "tokenizer.json";
  PreTokenizerLabel label;
  try {
    const std::string text = read_file(path, kMostBytes);
    const SkimmedFile file = read_tokenizer_file(text, path.string());
    const Json* model = file.json.find("model");
    const Json* pieces = model == nullptr ? nullptr : model->find("byte_fallback");
    // Files of SentencePiece cut at blanks alone.
    const bool is_pieces = pieces != nullptr && pieces->is_bool() && pieces->as_bool();
    label = is_pieces ? PreTokenizerLabel{std::string(kPieces), false}
                      : pre_tokenizer_label(*base.tokenizer, file.json, path.string());
  } catch (const Error& error) {
    return failed_probe(kPreTokenizer, error);
  }
  std::string detail = in_quotes(label.name);
  if (label.name == kPieces) {
    detail += ", as all of SentencePiece";
  } else {
    detail += label.is_by_ids ? ", by its ids of the check text" : ", by its parts";
  }
  const std::string_view known = base.info == nullptr ? "" : base.info->pre_tokenizer;
  const auto has_changed = [&](const std::string& what) {
    return Probe{
        kPreTokenizer, ProbeState::kFailed,
        path.string() + ": the tokenizer of base " + in_quotes(base.info->key) + " " + what,
        "the tokenizer has changed: fetch the base again, or name this folder by its path"};
  };
  if (!known.empty() && known != label.name) {
    return has_changed("is known as " + in_quotes(known) + ", this one is " + detail);
  }
  // The label tells how texts are cut, the ids the vocabulary too.
  const bool is_published = !known.empty() && !base.info->hf_id.empty() && known != kPieces;
  if (is_published && !label.is_by_ids) {
    return has_changed("gives the check text other ids than the published one");
  }
  return {kPreTokenizer, ProbeState::kPassed, detail, {}};
}

}  // namespace dlm
