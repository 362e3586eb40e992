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

BpeModel BpeModel::from_json(const Json& model, bool words_are_bytes) {
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
  bpe.read_vocab(required_field(model, "vocab", "model"));
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
  bpe.read_merges(required_field(model, "merges", "model"));
  if (!words_are_bytes && bpe.continuing_prefix_.empty() && bpe.word_suffix_.empty() &&
      !bpe.merges_stand_ins_) {
    bpe.index_neighbours();
  }
  bpe.cache_ = std::make_unique<WordCache>();
  return bpe;
}

void BpeModel::read_vocab(const Json& vocab) {
  if (!vocab.is_object()) bad_tokenizer("model.vocab must be an object");
  if (vocab.size() == 0) bad_tokenizer("model.vocab is empty");
  const int64_t limit = largest_allowed_id(vocab.size());
  int64_t largest = 0;
  for (const auto& [token, id] : vocab.members()) {
    if (!id.is_int()) bad_tokenizer("model.vocab[\"" + token + "\"] must be an integer");
    if (id.as_int() < 0 || id.as_int() > limit) {
      bad_tokenizer("model.vocab[\"" + token + "\"] is " + std::to_string(id.as_int()) +
                    ", outside of 0 to " + std::to_string(limit));
    }
    largest = std::max(largest, id.as_int());
  }
  tokens_.resize(static_cast<size_t>(largest) + 1);
  has_token_.resize(tokens_.size());
  ids_.reserve(vocab.size());
  for (const auto& [token, json_id] : vocab.members()) {
    const auto id = static_cast<size_t>(json_id.as_int());
    if (has_token_[id]) {
      bad_tokenizer("model.vocab gives the id " + std::to_string(id) + " to \"" + tokens_[id] +
                    "\" and to \"" + token + "\"");
    }
    if (!ids_.emplace(token, static_cast<int32_t>(id)).second) {
      bad_tokenizer("model.vocab holds \"" + token + "\" twice");
    }
    has_token_[id] = true;
    tokens_[id] = token;
  }
}

void BpeModel::read_merges(const Json& merges) {
  if (!merges.is_array()) bad_tokenizer("model.merges must be an array");
  merge_index_.reserve(merges.size());
  merges_.reserve(merges.size());
  uint32_t rank = 0;
  for (const Json& merge : merges.items()) {
    if (merge.is_string()) {
      const std::string& text = merge.as_string();
      const size_t blank = text.find(' ');
      if (blank == std::string::npos || text.find(' ', blank + 1) != std::string::npos) {
        bad_tokenizer("model.merges[" + std::to_string(rank) + "] is \"" + text +
                      "\", not two tokens with one space between them");
      }
      add_merge(rank, text.substr(0, blank), text.substr(blank + 1));
    } else if (merge.is_array() && merge.size() == 2 && merge.items()[0].is_string() &&
               merge.items()[1].is_string()) {
      add_merge(rank, merge.items()[0].as_string(), merge.items()[1].as_string());
    } else {
      bad_tokenizer("model.merges[" + std::to_string(rank) +
                    "] must be a string or an array of two strings");
    }
    ++rank;
  }
}

void BpeModel::add_merge(uint32_t rank, const std::string& left, const std::string& right) {
  const auto id_of = [&](const std::string& token) {
    const std::optional<int32_t> id = token_id(token);
    if (!id) {
      bad_tokenizer("model.merges[" + std::to_string(rank) + "] names \"" + token +
                    "\", which is not in model.vocab");
    }
    return *id;
  };
  const int32_t left_id = id_of(left), right_id = id_of(right);
  if (right.size() < continuing_prefix_.size()) {
    bad_tokenizer("model.merges[" + std::to_string(rank) + "] lacks the continuing_subword_prefix");
  }
  const int32_t result = id_of(left + right.substr(continuing_prefix_.size()));
  merges_stand_ins_ = merges_stand_ins_ || is_stand_in_[static_cast<size_t>(left_id)] ||
                      is_stand_in_[static_cast<size_t>(right_id)];
  const auto fresh = static_cast<uint32_t>(merges_.size());
  const uint32_t index = merge_index_.find_or_insert(static_cast<uint32_t>(left_id),
                                                     static_cast<uint32_t>(right_id), fresh);
  if (index == fresh) {
    merges_.push_back({rank, result});
  } else {
    merges_[index] = {rank, result};  // of two equal lines the later one counts, as in a map
  }
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
