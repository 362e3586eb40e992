#include "export/proof.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "export/logit_compare.h"
#include "model/generate.h"
#include "support/error.h"
#include "train/machine.h"

namespace dlm {

namespace {

// Rows in an order that follows from their content, each cut to what is left of the budget; those
// without a labelled token in that are left out.
std::vector<TokenRow> choose_rows(const ProofRequest& request, int64_t context) {
  const std::span<const RowOutline> outlines = request.rows.outlines();
  std::vector<size_t> order(outlines.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return outlines[a].id < outlines[b].id; });
  std::vector<TokenRow> chosen;
  int64_t left = request.max_tokens;
  for (const size_t row : order) {
    const int64_t room = std::min(left, context);
    TokenRow part = request.rows[row];
    if (static_cast<int64_t>(part.tokens.size()) > room) {
      part.next = part.tokens[static_cast<size_t>(room)];
      part.tokens.resize(static_cast<size_t>(room));
    }
    if (part.tokens.empty() || part.num_labels() == 0) continue;
    left -= static_cast<int64_t>(part.tokens.size());
    chosen.push_back(std::move(part));
    if (left <= 0) break;
  }
  return chosen;
}

struct Pass {
  Pass(Decoder& decoder, LoraAdapter* adapter, int64_t positions, Device& device)
      : graph(build_graph(decoder, adapter, GraphUse::kFinal, positions)),
        exec(graph->graph, device),
        model{&exec, graph->final, &head_of(decoder, adapter), decoder.dtype(),
              decoder.config().final_softcap} {}

  std::unique_ptr<DecoderGraph> graph;
  Exec exec;
  ComparedModel model;
};

// What the trained model says of the rows, before the exported file is read: so the weights of both
// need not be in memory at once.
struct TrainedSide {
  Batch batch;
  int64_t longest = 1;
  std::unique_ptr<Pass> pass;
};

void read_rows(const std::vector<TokenRow>& rows, const ProofRequest& request, Device& device,
               TrainedSide& trained) {
  for (const TokenRow& row : rows) {
    trained.batch.add_row(row.tokens, row.labels(), row.id);
    trained.longest = std::max(trained.longest, static_cast<int64_t>(row.tokens.size()));
  }
  trained.pass = std::make_unique<Pass>(*request.decoder, request.adapter, trained.longest, device);
  trained.pass->exec.forward(trained.batch);
}

void compare_rows(const std::vector<TokenRow>& rows, TrainedSide& trained, LoadedModel& exported,
                  Device& device, ProofResult& result) {
  std::vector<TokenComparison> all;
  {
    Pass other(*exported.decoder, exported.adapter.get(), trained.longest, device);
    other.exec.forward(trained.batch);
    all = compare_logits(trained.pass->model, other.model, trained.batch, device);
  }
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

void compare_tokenizers(const std::vector<TokenRow>& rows, const Tokenizer& trained,
                        const Tokenizer& exported, ProofResult& result) {
  for (const TokenRow& row : rows) {
    const std::string text = trained.decode(row.tokens, false);
    count_text(result, trained.encode(text, false) == exported.encode(text, false), text);
  }
}

std::vector<int32_t> greedy_answer(Decoder& decoder, LoraAdapter* adapter, const ChatFormat& format,
                                   std::span<const int32_t> prompt, std::span<const int32_t> draft,
                                   int64_t max_tokens, Device& device) {
  const auto room = decoder.config().max_positions - static_cast<int64_t>(prompt.size());
  const int64_t tokens = std::min(max_tokens, room);
  if (tokens < 1) return {};
  Generator generator(decoder, adapter, device, static_cast<int64_t>(prompt.size()) + tokens);
  return generate_drafted(generator, prompt, draft, tokens, format.stop_tokens()).tokens;
}

// As the trained model learned it.
std::vector<int32_t> written_answer(const ProofRequest& request, const ProofQuestion& asked) {
  if (asked.written.empty()) return {};
  const TokenRow row =
      request.format->conversation(asked.question, asked.written, request.system_prompt);
  return {row.tokens.begin() + row.loss_begin.value_or(0), row.tokens.end()};
}

size_t num_questions(const ProofRequest& request) {
  return std::min(request.questions.size(), static_cast<size_t>(request.max_questions));
}

std::vector<int32_t> ask_trained(const ProofRequest& request, const ProofQuestion& asked,
                                 std::span<const int32_t> draft, Device& device) {
  const auto prompt = request.format->prompt(asked.question, request.system_prompt);
  return greedy_answer(*request.decoder, request.adapter, *request.format, prompt, draft,
                       request.max_answer_tokens, device);
}

std::vector<int32_t> ask_exported(const ProofRequest& request, const ProofQuestion& asked,
                                  LoadedModel& exported, Device& device) {
  const auto prompt = exported.format->prompt(asked.question, request.system_prompt);
  return greedy_answer(*exported.decoder, exported.adapter.get(), *exported.format, prompt,
                       written_answer(request, asked), request.max_answer_tokens, device);
}

// The exported model answers first, since a quantized one is faster, and what it says is the draft
// of the trained one's answer; it leaves before the trained one comes back. A model of the same
// numbers makes the same passes instead, so that no rounding lies between the two.
void compare_answers(const ProofRequest& request, LoadedModel exported, Device& device,
                     ProofResult& result) {
  const std::span<const ProofQuestion> questions =
      std::span(request.questions).first(num_questions(request));
  std::vector<std::vector<int32_t>> drafts;
  for (const ProofQuestion& asked : questions) {
    const auto said = ask_exported(request, asked, exported, device);
    ProofAnswer answer;
    answer.question = asked.question;
    answer.is_same_prompt = request.format->prompt(asked.question, request.system_prompt) ==
                            exported.format->prompt(asked.question, request.system_prompt);
    count_text(result, answer.is_same_prompt, answer.question);
    answer.exported = exported.format->tokenizer().decode(said, true);
    result.answers.push_back(std::move(answer));
    drafts.push_back(request.quant ? said : written_answer(request, asked));
  }
  exported.decoder->release_pages();
  exported = {};
  return_freed_memory();
  for (size_t i = 0; i < questions.size(); ++i) {
    result.answers[i].trained = request.format->tokenizer().decode(
        ask_trained(request, questions[i], drafts[i], device), true);
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
  TrainedSide side;
  read_rows(rows, request, device, side);
  request.decoder->release_pages();
  LoadedModel loaded = request.exported->load(request.decoder->dtype(), device);
  compare_rows(rows, side, loaded, device, result);
  compare_tokenizers(rows, request.format->tokenizer(), loaded.format->tokenizer(), result);
  side.pass.reset();
  compare_answers(request, std::move(loaded), device, result);
  result.files = request.exported->files();
  return result;
}

}  // namespace dlm
