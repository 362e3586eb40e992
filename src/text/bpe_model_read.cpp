// Reading a BPE model: every id and every merge is checked before it is used.
#include <algorithm>

#include "support/error.h"
#include "support/text.h"
#include "text/bpe_model.h"
#include "text/byte_alphabet.h"
#include "text/fields.h"

namespace dlm {

namespace {

// Ids may have gaps, but a file with few tokens must not make us reserve gigabytes.
int64_t largest_allowed_id(size_t num_tokens) {
  return static_cast<int64_t>(num_tokens) * 2 + 65536;
}

}  // namespace

BpeModel BpeModel::from_json(const Json& model, const BpeLists* lists, bool words_are_bytes) {
  const std::string type = string_field_or(model, "type", "model", "BPE");
  if (type != "BPE") {
    bad_tokenizer("model has the type \"" + type + "\", which is not supported (only BPE is)");
  }
  const Json* dropout = model.find("dropout");
  if (dropout != nullptr && !dropout->is_null() &&
      !(dropout->is_number() && dropout->as_double() == 0)) {
    bad_tokenizer("model.dropout is set; ids would be random");
  }
  BpeModel bpe;
  bpe.fuse_unknown_ = bool_field_or(model, "fuse_unk", "model", false);
  bpe.byte_fallback_ = bool_field_or(model, "byte_fallback", "model", false);
  bpe.ignore_merges_ = bool_field_or(model, "ignore_merges", "model", false);
  bpe.continuing_prefix_ = string_field_or(model, "continuing_subword_prefix", "model", "");
  bpe.word_suffix_ = string_field_or(model, "end_of_word_suffix", "model", "");
  const BpeLists in_model = lists == nullptr ? lists_of(model) : BpeLists();
  if (lists == nullptr) lists = &in_model;
  bpe.read_vocab(*lists);
  const std::string unknown = string_field_or(model, "unk_token", "model", "");
  if (!unknown.empty()) {
    bpe.unknown_ = bpe.token_id(unknown);
    if (!bpe.unknown_) bad_tokenizer("model.unk_token \"" + unknown + "\" is not in model.vocab");
  }
  // The short cut from bytes to symbols knows no decorations and no byte tokens.
  bpe.words_are_bytes_ = words_are_bytes;
  if (words_are_bytes &&
      (bpe.byte_fallback_ || !bpe.continuing_prefix_.empty() || !bpe.word_suffix_.empty())) {
    bad_tokenizer("model joins ByteLevel words with byte_fallback, a prefix or a suffix");
  }
  bpe.index_bytes();
  bpe.read_merges(*lists);
  if (!words_are_bytes && bpe.continuing_prefix_.empty() && bpe.word_suffix_.empty() &&
      !bpe.merges_stand_ins_) {
    bpe.index_neighbours();
  }
  bpe.cache_ = std::make_unique<WordCache>(bpe.num_tokens());
  return bpe;
}

void BpeModel::read_vocab(const BpeLists& lists) {
  if (lists.vocab.empty()) bad_tokenizer("model.vocab is empty");
  const int64_t limit = largest_allowed_id(lists.vocab.size());
  int64_t largest = 0;
  for (const auto& [token, id] : lists.vocab) {
    if (id < 0 || id > limit) {
      bad_tokenizer("model.vocab[\"" + std::string(token) + "\"] is " + std::to_string(id) +
                    ", outside of 0 to " + std::to_string(limit));
    }
    largest = std::max(largest, id);
  }
  tokens_.resize(static_cast<size_t>(largest) + 1);
  has_token_.resize(tokens_.size());
  index_.reserve(lists.vocab.size());
  for (const auto& [token, id] : lists.vocab) {
    const auto at = static_cast<size_t>(id);
    if (has_token_[at]) {
      bad_tokenizer("model.vocab gives the id " + std::to_string(id) + " to \"" + tokens_[at] +
                    "\" and to \"" + std::string(token) + "\"");
    }
    has_token_[at] = true;
    tokens_[at] = token;
    if (!index_.add(static_cast<int32_t>(id), tokens_)) {
      bad_tokenizer("model.vocab holds \"" + tokens_[at] + "\" twice");
    }
  }
}

void BpeModel::read_merges(const BpeLists& lists) {
  merges_.reserve(lists.merges.size());
  const auto id_of = [&](uint32_t rank, std::string_view token) {
    const std::optional<int32_t> id = token_id(token);
    if (!id) {
      bad_tokenizer("model.merges[" + std::to_string(rank) + "] names \"" + std::string(token) +
                    "\", which is not in model.vocab");
    }
    return *id;
  };
  uint32_t rank = 0;
  int32_t result = 0;
  for (const auto& [left, right] : lists.merges) {
    const int32_t left_id = id_of(rank, left), right_id = id_of(rank, right);
    if (right.size() < continuing_prefix_.size()) {
      bad_tokenizer("model.merges[" + std::to_string(rank) +
                    "] lacks the continuing_subword_prefix");
    }
    result = merge_result(rank, left, right.substr(continuing_prefix_.size()), result);
    merges_stand_ins_ = merges_stand_ins_ || is_stand_in_[static_cast<size_t>(left_id)] ||
                        is_stand_in_[static_cast<size_t>(right_id)];
    merges_.set(left_id, right_id, {rank, result});  // of two equal lines the later one counts
    ++rank;
  }
}

// The id of left and right joined. In most files ids follow the order of the merges, so what the
// merge before gave is a good guess and spares a search in memory that is far away.
int32_t BpeModel::merge_result(uint32_t rank, std::string_view left, std::string_view right,
                               int32_t last_result) const {
  for (int32_t guess = last_result; guess <= last_result + 1; ++guess) {
    const std::string* known = token(guess);
    if (known != nullptr && known->size() == left.size() + right.size() &&
        known->starts_with(left) && known->ends_with(right)) {
      return guess;
    }
  }
  std::string joined(left);
  joined += right;
  const std::optional<int32_t> found = token_id(joined);
  if (!found) {
    bad_tokenizer("model.merges[" + std::to_string(rank) + "] names \"" + joined +
                  "\", which is not in model.vocab");
  }
  return *found;
}

void BpeModel::index_bytes() {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string name = {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
    byte_tokens_[byte] = token_id(name).value_or(-1);
    byte_symbols_[byte] = token_id(byte_to_character()[byte]).value_or(-1);
  }
  is_stand_in_.assign(tokens_.size(), false);
  if (unknown_) is_stand_in_[static_cast<size_t>(*unknown_)] = true;
  if (!byte_fallback_) return;
  for (const int32_t id : byte_tokens_) {
    if (id >= 0) is_stand_in_[static_cast<size_t>(id)] = true;
  }
}

void BpeModel::index_neighbours() {
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (is_stand_in_[id]) continue;
    uint32_t last = 0;
    bool is_first = true;
    for (const uint32_t code_point : decode_utf8(tokens_[id])) {
      if (!is_first) neighbours_.find_or_insert(last, code_point, 0);
      last = code_point;
      is_first = false;
    }
  }
}

}  // namespace dlm
