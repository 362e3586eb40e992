#include "export/proof.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "export/logit_compare.h"
#include "model/greedy_answers.h"
#include "model/sequences.h"
#include "support/error.h"
#include "train/machine.h"

namespace dlm {

namespace {

// The first `room` tokens of a row; nothing where none of them carries loss.
std::optional<TokenRow> beginning_of(TokenRow row, int64_t room) {
  if (static_cast<int64_t>(row.tokens.size()) > room) {
    const bool is_labelled = row.loss_begin && *row.loss_begin <= static_cast<uint64_t>(room);
    row.next = is_labelled ? row.tokens[static_cast<size_t>(room)] : -1;
    row.tokens.resize(static_cast<size_t>(room));
  }
  if (row.tokens.empty() || row.num_labels() == 0) return std::nullopt;
  return row;
}

// An order of rows that follows from their content.
std::vector<size_t> order_of(std::span<const RowOutline> outlines) {
  std::vector<size_t> order(outlines.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return outlines[a].id < outlines[b].id; });
  return order;
}

// Rows in that order, each cut to what is left of the budget; those without a labelled token in
// that are left out.
std::vector<TokenRow> choose_rows(const ProofRequest& request, int64_t context) {
  const std::span<const RowOutline> outlines = request.rows.outlines();
  std::vector<size_t> order = order_of(outlines);
  const int64_t most = order.size() > 1 ? request.max_row_tokens : request.max_tokens;
  std::vector<TokenRow> chosen;
  int64_t left = request.max_tokens;
  for (const size_t row : order) {
    std::optional<TokenRow> part = beginning_of(request.rows[row], std::min({left, most, context}));
    if (!part) continue;
    left -= static_cast<int64_t>(part->tokens.size());
    chosen.push_back(std::move(*part));
    if (left <= 0) break;
  }
  if (!chosen.empty()) return chosen;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return outlines[a].loss_begin < outlines[b].loss_begin;
  });
  for (const size_t row : order) {
    const int64_t end = int64_t{outlines[row].loss_begin} + request.max_row_tokens;
    std::optional<TokenRow> part = beginning_of(request.rows[row], std::min(end, context));
    if (part) return {std::move(*part)};
  }
  return {};
}

size_t num_questions(const ProofRequest& request) {
  return std::min(request.questions.size(), static_cast<size_t>(request.max_questions));
}

// As the trained model learned it.
std::vector<int32_t> written_answer(const ProofRequest& request, const ProofQuestion& asked) {
  if (asked.written.empty()) return {};
  const TokenRow row =
      request.format->conversation(asked.question, asked.written, request.system_prompt);
  return {row.tokens.begin() + row.loss_begin.value_or(0), row.tokens.end()};
}

// The first token of a row whose successor carries loss.
int64_t first_labelled(const TokenRow& row) {
  return std::max<int64_t>(row.loss_begin.value_or(0), 1) - 1;
}

// One of the two models. It reads the rows and the questions, with the answers that the document
// has, in one pass, and then answers all questions side by side.
class Side {
 public:
  Side(Decoder& decoder, LoraAdapter* adapter, const ChatFormat& format,
       const std::vector<TokenRow>& rows, const ProofRequest& request, Device& device)
      : prompts_(prompts(format, request)),
        sequences_(decoder, adapter, device, rooms(rows, prompts_, request, decoder.config())),
        answers_(sequences_, format.stop_tokens()) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto length = static_cast<int64_t>(rows[i].tokens.size());
      sequences_.append(i, rows[i].tokens, length - first_labelled(rows[i]));
    }
    for (size_t i = 0; i < prompts_.size(); ++i) {
      const size_t sequence = rows.size() + i;
      const int64_t room = sequences_.capacity(sequence) - static_cast<int64_t>(prompts_[i].size());
      answers_.ask(sequence, prompts_[i], std::min(request.max_answer_tokens, room));
      answers_.draft(i, written_answer(request, request.questions[i]));
    }
    answers_.append();
    sequences_.read();
    lines_ = labelled_lines(rows);
    answers_.take();
  }

  const std::vector<std::vector<int32_t>>& prompts() const { return prompts_; }
  ComparedModel compared() const {
    return {lines_, &sequences_.head(), sequences_.config().final_softcap};
  }
  GreedyAnswers& answers() { return answers_; }

 private:
  static std::vector<std::vector<int32_t>> prompts(const ChatFormat& format,
                                                   const ProofRequest& request) {
    std::vector<std::vector<int32_t>> prompts;
    for (size_t i = 0; i < num_questions(request); ++i) {
      prompts.push_back(format.prompt(request.questions[i].question, request.system_prompt));
    }
    return prompts;
  }

  static std::vector<SequenceRoom> rooms(const std::vector<TokenRow>& rows,
                                         const std::vector<std::vector<int32_t>>& prompts,
                                         const ProofRequest& request, const ModelConfig& config) {
    std::vector<SequenceRoom> rooms;
    for (const TokenRow& row : rows) {
      rooms.push_back({static_cast<int64_t>(row.tokens.size()), true});
    }
    for (const std::vector<int32_t>& prompt : prompts) {
      const auto both = static_cast<int64_t>(prompt.size()) + request.max_answer_tokens;
      rooms.push_back({std::min(both, config.max_positions), false});
    }
    return rooms;
  }

  // What the model says of each labelled token, [labelled, hidden].
  Tensor labelled_lines(const std::vector<TokenRow>& rows) {
    int64_t count = 0;
    for (const TokenRow& row : rows) count += row.num_labels();
    Tensor lines = Tensor::zeros({count, sequences_.config().hidden_size}, sequences_.dtype());
    const size_t bytes = lines.size_bytes() / static_cast<size_t>(count);
    auto* to = static_cast<std::byte*>(lines.mutable_data());
    for (size_t i = 0; i < rows.size(); ++i) {
      for (int64_t k = 0; k < rows[i].num_labels(); ++k, to += bytes) {
        std::memcpy(to, sequences_.output(i, first_labelled(rows[i]) + k), bytes);
      }
    }
    return lines;
  }

  std::vector<std::vector<int32_t>> prompts_;
  Sequences sequences_;
  GreedyAnswers answers_;
  Tensor lines_;
};

std::vector<int32_t> labels_of(const std::vector<TokenRow>& rows) {
  std::vector<int32_t> all;
  for (const TokenRow& row : rows) {
    const std::vector<int32_t> labels = row.labels();
    const auto first = labels.begin() + first_labelled(row);
    all.insert(all.end(), first, first + row.num_labels());
  }
  return all;
}

void compare_rows(const std::vector<TokenRow>& rows, const Side& trained, const Side& exported,
                  Device& device, ProofResult& result) {
  const std::vector<TokenComparison> all =
      compare_logits(trained.compared(), exported.compared(), labels_of(rows), device);
  result.rows = static_cast<int64_t>(rows.size());
  result.tokens = static_cast<int64_t>(all.size());
  const auto count = static_cast<double>(all.size());
  double kl = 0, reference_nll = 0, other_nll = 0;
  int64_t same = 0;
  std::vector<double> sorted;
  for (const TokenComparison& token : all) {
    kl += token.kl;
    reference_nll += token.reference_nll;
    other_nll += token.other_nll;
    same += token.same_top ? 1 : 0;
    sorted.push_back(token.kl);
  }
  std::sort(sorted.begin(), sorted.end());
  result.agreement = static_cast<double>(same) / count;
  result.mean_kl = kl / count;
  result.max_kl = sorted.back();
  result.p99_kl = sorted[(sorted.size() - 1) * 99 / 100];
  result.trained_perplexity = std::exp(reference_nll / count);
  result.exported_perplexity = std::exp(other_nll / count);
}

void count_text(ProofResult& result, bool is_same, std::string_view text) {
  ++result.texts;
  result.same_texts += is_same ? 1 : 0;
  if (!is_same && result.first_other_text.empty()) result.first_other_text = text;
}

// Texts cost little, so more of them are looked at than the models read.
void compare_tokenizers(const TokenRows& rows, const Tokenizer& trained, const Tokenizer& exported,
                        ProofResult& result) {
  constexpr size_t kMostTokens = 8192;
  size_t num_read = 0;
  for (const size_t i : order_of(rows.outlines())) {
    std::vector<int32_t> tokens = rows[i].tokens;
    if (tokens.empty()) continue;
    tokens.resize(std::min(tokens.size(), kMostTokens - num_read));
    num_read += tokens.size();
    const std::string text = trained.decode(tokens, false);
    count_text(result, trained.encode(text, false) == exported.encode(text, false), text);
    if (num_read == kMostTokens) break;
  }
}

// What the exported model says; it answers first, since a quantized one is faster.
void ask_exported(const ProofRequest& request, const ChatFormat& format, const Side& trained,
                  Side& exported, ProofResult& result) {
  exported.answers().finish();
  for (size_t i = 0; i < num_questions(request); ++i) {
    ProofAnswer answer;
    answer.question = request.questions[i].question;
    answer.is_same_prompt = trained.prompts()[i] == exported.prompts()[i];
    count_text(result, answer.is_same_prompt, answer.question);
    answer.exported = format.tokenizer().decode(exported.answers().answer(i).tokens, true);
    result.answers.push_back(std::move(answer));
  }
}

}  // namespace

ProofResult prove_export(const ProofRequest& request, Device& device) {
  check(request.decoder != nullptr && request.format != nullptr, "a proof needs the trained model");
  check(request.exported != nullptr, "a proof needs the exported files");
  const ModelConfig exported = request.exported->config();
  const ModelConfig& trained = request.decoder->config();
  if (exported.vocab_size != trained.vocab_size) {
    throw Error(ErrorKind::kExport,
                "the exported model has " + std::to_string(exported.vocab_size) +
                    " tokens, the trained one " + std::to_string(trained.vocab_size),
                "export it again", {request.exported->place().string(), 0, 0});
  }
  const std::vector<TokenRow> rows =
      choose_rows(request, std::min(trained.max_positions, exported.max_positions));
  if (rows.empty()) {
    throw Error(ErrorKind::kExport, "the document has no row to compare the models on",
                "add a text or a question with its answer");
  }
  ProofResult result;
  result.quant = request.quant;
  result.limits = request.limits;
  return_freed_memory();
  Side trained_side(*request.decoder, request.adapter, *request.format, rows, request, device);
  request.decoder->release_pages();
  {
    const LoadedModel loaded = request.exported->load(request.decoder->dtype(), device);
    Side exported_side(*loaded.decoder, loaded.adapter.get(), *loaded.format, rows, request,
                       device);
    compare_rows(rows, trained_side, exported_side, device, result);
    compare_tokenizers(request.rows, request.format->tokenizer(), loaded.format->tokenizer(),
                       result);
    ask_exported(request, *loaded.format, trained_side, exported_side, result);
    // A model of the same numbers makes the same passes, so that no rounding lies between the two;
    // what another says is the draft of the trained one's answer.
    for (size_t i = 0; request.quant && i < result.answers.size(); ++i) {
      trained_side.answers().draft(i, exported_side.answers().answer(i).tokens);
    }
    loaded.decoder->release_pages();
  }
  return_freed_memory();
  trained_side.answers().finish();
  for (size_t i = 0; i < result.answers.size(); ++i) {
    result.answers[i].trained =
        request.format->tokenizer().decode(trained_side.answers().answer(i).tokens, true);
  }
  result.files = request.exported->files();
  return result;
}

}  // namespace dlm
