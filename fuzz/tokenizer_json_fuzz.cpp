// Any bytes as a tokenizer.json: reading it gives a tokenizer or an Error, a tokenizer that was read
// encodes and decodes without a crash, and the quick way to read the lists gives what the full way
// gives. The part behind the first NUL byte is the text to encode.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "support/error.h"
#include "support/text.h"
#include "text/bpe_lists.h"
#include "text/tokenizer.h"

namespace {

void check_lists(std::string_view file, const dlm::Json& whole) {
  const auto skimmed = dlm::skim_tokenizer_file(file);
  if (!skimmed) return;
  const dlm::BpeLists lists = dlm::lists_of(whole.at("model"));
  dlm::check(skimmed->lists.merges == lists.merges, "merges are the same both ways");
  // With equal keys in the file the quick way has more entries, and the file is then left to the
  // full way.
  const bool has_equal_keys = skimmed->lists.vocab.size() != lists.vocab.size();
  dlm::check(has_equal_keys || skimmed->lists.vocab == lists.vocab, "so is the vocabulary");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t cut = input.find('\0');
  const std::string_view file = input.substr(0, cut);
  const std::string_view text = cut == std::string_view::npos ? "" : input.substr(cut + 1);
  dlm::JsonLimits limits;
  limits.max_bytes = 1 << 20;
  try {
    const dlm::Json json = dlm::parse_json(file, "fuzz", limits);
    check_lists(file, json);
    const dlm::Tokenizer tokenizer = dlm::Tokenizer::from_json(json, "fuzz");
    const std::vector<int32_t> ids = tokenizer.encode(text, true);
    const std::string whole = tokenizer.decode(ids, false);
    dlm::check(!dlm::find_utf8_fault(whole), "decode gives UTF-8");
    tokenizer.encode_ordinary(text);
    dlm::TokenStream stream(tokenizer, false);
    std::string joined;
    for (const int32_t id : ids) joined += stream.push(id);
    joined += stream.flush();
    dlm::check(!dlm::find_utf8_fault(joined), "a stream gives UTF-8");
  } catch (const dlm::Error& error) {
    if (error.kind() == dlm::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
