#include "train/bits_per_byte.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "support/error.h"
#include "support/interrupt.h"

namespace dlm {

namespace {

constexpr int64_t kBatchTokens = 4096;

int32_t first_token(const Decoder& decoder, const Tokenizer& tokenizer) {
  const std::vector<int32_t> prefix = tokenizer.encode("", true);
  if (!prefix.empty()) return prefix.front();
  const ModelConfig& c = decoder.config();
  if (c.bos_token_id) return static_cast<int32_t>(*c.bos_token_id);
  if (!c.eos_token_ids.empty()) return static_cast<int32_t>(c.eos_token_ids.front());
  throw Error(ErrorKind::kBase, "the base names no token that begins or ends a text",
              "add bos_token_id to its config.json");
}

}  // namespace

double TextMeasure::bits_per_byte() const {
  return bytes > 0 ? nats / std::log(2.0) / static_cast<double>(bytes) : 0;
}

TextMeasure measure_text(Decoder& decoder, const Tokenizer& tokenizer,
                         const std::vector<std::string>& texts, int64_t context, Device& device) {
  check(context >= 2, "a window of less than two tokens");
  const auto graph = build_graph(decoder, nullptr, GraphUse::kLoss, context);
  Exec exec(graph->graph, device);
  TextMeasure total;
  Batch batch;
  const auto run = [&] {
    if (batch.rows.empty()) return;
    exec.forward(batch);
    for (const float loss : exec.token_losses) total.nats += static_cast<double>(loss);
    total.tokens += batch.num_tokens();
    batch = {};
    check_interrupted();
  };
  const int32_t first = first_token(decoder, tokenizer);
  for (const std::string& text : texts) {
    std::vector<int32_t> ids = {first};
    const std::vector<int32_t> words = tokenizer.encode_ordinary(text);
    ids.insert(ids.end(), words.begin(), words.end());
    const auto count = static_cast<int64_t>(words.size());
    for (int64_t at = 0; at < count; at += context) {
      const auto length = static_cast<size_t>(std::min(context, count - at));
      if (batch.num_tokens() + static_cast<int64_t>(length) > std::max(kBatchTokens, context))
        run();
      const std::span<const int32_t> from(ids.data() + at, length + 1);
      batch.add_row(from.first(length), from.last(length), batch.rows.size());
    }
    total.bytes += text.size();
  }
  run();
  return total;
}

}  // namespace dlm
