// The pipeline: added tokens in the raw text, normalizer, added tokens in the normalized text,
// pre-tokenizer, BPE, post-processor.
#include "text/tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "support/error.h"
#include "support/text.h"
#include "text/added_tokens.h"
#include "text/bpe_lists.h"
#include "text/bpe_model.h"
#include "text/byte_alphabet.h"
#include "text/decoder.h"
#include "text/fields.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_tables.h"

namespace dlm {

namespace {

bool is_white_space_only(std::string_view text) {
  return trim(text).empty();
}

void check_utf8(std::string_view text) {
  if (const auto fault = find_utf8_fault(text)) {
    throw Error(ErrorKind::kEncoding,
                "the text is not UTF-8 at byte " + std::to_string(fault->byte_offset) + ": " +
                    fault->reason,
                "convert the text to UTF-8");
  }
}

}  // namespace

Tokenizer Tokenizer::load(const fs::path& tokenizer_json) {
  const std::string text = read_file(tokenizer_json);
  if (const auto file = skim_tokenizer_file(text)) {
    return from_file(*file, text, tokenizer_json.string());
  }
  return from_json(parse_json(text, tokenizer_json.string()), tokenizer_json.string());
}

Tokenizer Tokenizer::from_file(const SkimmedFile& file, std::string_view text,
                               std::string_view path) {
  try {
    return Tokenizer(std::make_shared<const Tables>(file.json, &file.lists));
  } catch (const Error&) {
    // What is wrong, or written twice, is known by the way that reads the whole file.
    return from_json(parse_json(text, std::string(path)), path);
  }
}

Tokenizer Tokenizer::from_json(const Json& json, std::string_view path) {
  try {
    return Tokenizer(std::make_shared<const Tables>(json));
  } catch (const Error& error) {
    throw error.at({std::string(path)});
  }
}

Tokenizer::Tables::Tables(const Json& json, const BpeLists* lists) {
  if (!json.is_object()) bad_tokenizer("the tokenizer must be an object");
  const auto part = [&](std::string_view key) {
    const Json* found = json.find(key);
    return found == nullptr ? Json() : *found;
  };
  normalizer = Normalizer::from_json(part("normalizer"));
  pre_tokenizer = PreTokenizer::from_json(part("pre_tokenizer"));
  decoder = Decoder::from_json(part("decoder"));
  model = std::make_unique<BpeModel>(
      BpeModel::from_json(required_field(json, "model", ""), lists, pre_tokenizer.gives_bytes()));
  add_tokens(read_added_tokens(part("added_tokens")));
  post_processor = PostProcessor::from_json(part("post_processor"), id_limit);
}

void Tokenizer::Tables::add_tokens(const std::vector<AddedToken>& tokens) {
  id_limit = model->id_limit();
  // Gaps are allowed, gigabytes of them are not.
  const size_t largest_allowed = (model->num_tokens() + tokens.size()) * 2 + 65536;
  for (const AddedToken& token : tokens) {
    const auto id = static_cast<size_t>(token.id);
    const std::string quoted = "added token \"" + token.content + "\"";
    if (id > largest_allowed) {
      bad_tokenizer(quoted + " has the id " + std::to_string(id) + ", above " +
                    std::to_string(largest_allowed));
    }
    const std::string* in_vocab = model->token(token.id);
    if (in_vocab != nullptr && *in_vocab != token.content) {
      bad_tokenizer(quoted + " has the id " + std::to_string(id) + " of \"" + *in_vocab + "\"");
    }
    const std::optional<int32_t> vocab_id = model->token_id(token.content);
    if (vocab_id && *vocab_id != token.id) {
      bad_tokenizer(quoted + " has the id " + std::to_string(id) + " but model.vocab says " +
                    std::to_string(*vocab_id));
    }
    const auto [by_content, is_new] = added_ids.emplace(token.content, token.id);
    const auto [by_id, is_new_id] = added_texts.emplace(token.id, token.content);
    if (by_content->second != token.id || by_id->second != token.content) {
      bad_tokenizer(quoted + " shares its id or its content with another added token");
    }
    id_limit = std::max(id_limit, id + 1);
  }
  special.assign(id_limit, false);
  for (const AddedToken& token : tokens) {
    if (token.special) special[static_cast<size_t>(token.id)] = true;
    const bool is_ordinary = !token.special && is_white_space_only(token.content);
    if (token.normalized) {
      const std::string content = normalizer.apply(token.content);
      all.normalized.add(token, content);
      if (is_ordinary) ordinary.normalized.add(token, content);
    } else {
      all.raw.add(token, token.content);
      if (is_ordinary) ordinary.raw.add(token, token.content);
    }
  }
}

void Tokenizer::Tables::encode(std::string_view text, bool is_ordinary,
                               std::vector<int32_t>& out) const {
  const Finders& finders = is_ordinary ? ordinary : all;
  const PreTokenizer::Sink sink = [&](std::string_view word) {
    const size_t before = out.size();
    model->tokenize(word, out);
    if (!is_ordinary) return;
    // Only a merge of plain characters can spell a special token here; then it is spelled
    // otherwise.
    for (size_t i = before; i < out.size(); ++i) {
      if (!special[static_cast<size_t>(out[i])]) continue;
      out.resize(before);
      return model->tokenize_without(special, word, out);
    }
  };
  finders.raw.split(text, [&](const AddedTokenFinder::Part& raw) {
    if (raw.id >= 0) return out.push_back(raw.id);
    const std::string_view piece = text.substr(raw.begin, raw.end - raw.begin);
    std::string changed;
    if (!normalizer.is_identity()) changed = normalizer.apply(piece);
    const std::string_view normalized = normalizer.is_identity() ? piece : changed;
    finders.normalized.split(normalized, [&](const AddedTokenFinder::Part& part) {
      if (part.id >= 0) return out.push_back(part.id);
      pre_tokenizer.split(normalized.substr(part.begin, part.end - part.begin),
                          raw.begin == 0 && part.begin == 0, sink);
    });
  });
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special) const {
  check_utf8(text);
  std::vector<int32_t> ids;
  if (add_special) ids = tables_->post_processor.before();
  tables_->encode(text, false, ids);
  if (add_special) {
    const std::vector<int32_t>& after = tables_->post_processor.after();
    ids.insert(ids.end(), after.begin(), after.end());
  }
  return ids;
}

std::vector<int32_t> Tokenizer::encode_ordinary(std::string_view text) const {
  check_utf8(text);
  std::vector<int32_t> ids;
  tables_->encode(text, true, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    const std::string& token = token_text(id);
    if (token.empty() || (skip_special && is_special(id))) continue;
    tokens.push_back(token);
  }
  return tables_->decoder.decode(std::move(tokens));
}

size_t Tokenizer::vocab_size() const {
  return tables_->id_limit;
}

std::optional<int32_t> Tokenizer::token_id(std::string_view token) const {
  const auto added = tables_->added_ids.find(std::string(token));
  if (added != tables_->added_ids.end()) return added->second;
  return tables_->model->token_id(token);
}

const std::string& Tokenizer::token_text(int32_t id) const {
  static const std::string none;
  const auto added = tables_->added_texts.find(id);
  if (added != tables_->added_texts.end()) return added->second;
  const std::string* token = tables_->model->token(id);
  return token == nullptr ? none : *token;
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < tables_->special.size() &&
         tables_->special[static_cast<size_t>(id)];
}

bool Tokenizer::is_added(int32_t id) const {
  return tables_->added_texts.contains(id);
}

}  // namespace dlm
