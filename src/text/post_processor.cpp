// Post-processors: templates, the older cls/sep form, and sequences of them.
#include "text/post_processor.h"

#include "text/fields.h"

namespace dlm {

namespace {

constexpr int kMaxDepth = 8;

int32_t checked_id(const Json& id, const std::string& where, size_t id_limit) {
  if (!id.is_int() || id.as_int() < 0 || static_cast<uint64_t>(id.as_int()) >= id_limit) {
    bad_tokenizer(where + " must be the id of a token");
  }
  return static_cast<int32_t>(id.as_int());
}

// ["</s>", 2]
int32_t pair_id(const Json& json, std::string_view key, const std::string& where, size_t id_limit) {
  const std::vector<Json>& pair = array_field(json, key, where);
  const std::string name = where + "." + std::string(key);
  if (pair.size() != 2) bad_tokenizer(name + " must hold a token and its id");
  return checked_id(pair[1], name, id_limit);
}

}  // namespace

PostProcessor PostProcessor::from_json(const Json& json, size_t id_limit) {
  PostProcessor processor;
  if (!json.is_null()) processor.add(json, "post_processor", id_limit, 0);
  return processor;
}

void PostProcessor::add(const Json& json, const std::string& where, size_t id_limit, int depth) {
  if (depth > kMaxDepth) bad_tokenizer(where + " nests too deeply");
  const std::string type = type_field(json, where);
  if (type == "Sequence") {
    for (const Json& item : array_field(json, "processors", where)) {
      add(item, where + ".processors", id_limit, depth + 1);
    }
  } else if (type == "TemplateProcessing") {
    add_template(json, where, id_limit);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    wrap({pair_id(json, "cls", where, id_limit)}, {pair_id(json, "sep", where, id_limit)});
  } else if (type != "ByteLevel") {  // ByteLevel trims offsets, which ids do not have
    bad_tokenizer(where + " has the type \"" + type + "\", which is not supported");
  }
}

void PostProcessor::add_template(const Json& json, const std::string& where, size_t id_limit) {
  std::vector<int32_t> before, after;
  int num_texts = 0;
  const Json* tokens = json.find("special_tokens");
  for (const Json& piece : array_field(json, "single", where)) {
    if (piece.is_object() && piece.find("Sequence") != nullptr) {
      ++num_texts;
      continue;
    }
    const std::string in_piece = where + ".single";
    const std::string name =
        string_field(required_field(piece, "SpecialToken", in_piece), "id", in_piece);
    const Json* token = tokens == nullptr ? nullptr : tokens->find(name);
    if (token == nullptr) bad_tokenizer(where + ".special_tokens lacks \"" + name + "\"");
    for (const Json& id : array_field(*token, "ids", where + ".special_tokens")) {
      (num_texts == 0 ? before : after)
          .push_back(checked_id(id, where + ".special_tokens[\"" + name + "\"].ids", id_limit));
    }
  }
  if (num_texts != 1) bad_tokenizer(where + ".single must hold the text exactly once");
  wrap(before, after);
}

void PostProcessor::wrap(const std::vector<int32_t>& before, const std::vector<int32_t>& after) {
  before_.insert(before_.begin(), before.begin(), before.end());
  after_.insert(after_.end(), after.begin(), after.end());
}

}  // namespace dlm
