// Any bytes as a GGUF model: what is accepted has sizes that its own tensors bear out and a
// tokenizer that encodes and decodes without a crash; what is refused is refused as a broken file.
// The first byte parts the rest into a file and a text to encode.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "model/decoder.h"
#include "model/gguf_config.h"
#include "model/gguf_vocabulary.h"
#include "model/gguf_weights.h"
#include "support/error.h"
#include "support/text.h"
#include "text/tokenizer.h"

namespace {

template <class Call>
void survive(const Call& call) {
  try {
    call();
  } catch (const dlm::Error& error) {
    if (error.kind() == dlm::ErrorKind::kInternal) std::abort();
  }
}

void read_model(const dlm::GgufFile& file) {
  const auto decoder = dlm::Decoder::load_gguf(file, dlm::DType::kF32);
  const dlm::ModelConfig& config = decoder->config();
  if (config.num_heads % config.num_kv_heads != 0) std::abort();
  for (const int64_t length : {int64_t{1}, config.max_positions}) {
    const auto half = static_cast<size_t>(config.rope.rot(config.head_dim) / 2);
    if (config.rope.frequencies(config.head_dim, length).size() != half) std::abort();
  }
  survive([&] { dlm::LoraAdapter::load_gguf(file, *decoder); });
}

void read_tokenizer(const dlm::GgufFile& file, std::string_view text) {
  const dlm::Tokenizer tokenizer =
      dlm::Tokenizer::from_vocabulary(dlm::gguf_vocabulary(file), "fuzz");
  const std::vector<int32_t> ids = tokenizer.encode(text, true);
  tokenizer.encode_ordinary(text);
  for (const int32_t id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= tokenizer.vocab_size()) std::abort();
  }
  if (dlm::find_utf8_fault(tokenizer.decode(ids, false))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t text_size = std::min<size_t>(data[0], size - 1);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, text_size);
  // Aligned, as a mapped file is.
  std::vector<uint64_t> storage((size - 1 - text_size) / 8 + 1);
  std::memcpy(storage.data(), data + 1 + text_size, size - 1 - text_size);
  survive([&] {
    const dlm::GgufFile file =
        dlm::GgufFile::parse(std::as_bytes(std::span(storage)).first(size - 1 - text_size), "fuzz");
    survive([&] { read_model(file); });
    survive([&] { read_tokenizer(file, text); });
  });
  return 0;
}
