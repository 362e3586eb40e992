// A tokenizer from the lists of a run-time file. The parts of the pipeline are the same as those of
// a tokenizer.json, set up as the file's kind, names and flags say.
#include <algorithm>
#include <cmath>

#include "support/error.h"
#include "support/text.h"
#include "text/bpe_model.h"
#include "text/fields.h"
#include "text/piece_model.h"
#include "text/tokenizer.h"
#include "text/tokenizer_tables.h"

namespace dlm {

namespace {

constexpr const char* kBlankMark = "\u2581";

Json typed(const char* type, std::vector<Json::Member> members = {}) {
  Json json = Json::object({{"type", Json(type)}});
  for (auto& [key, value] : members) json.set(std::move(key), std::move(value));
  return json;
}

void check_lists(const Vocabulary& v) {
  if (v.tokens.empty()) bad_tokenizer("the vocabulary is empty");
  if (v.kinds.size() != v.tokens.size()) {
    bad_tokenizer("the vocabulary has " + std::to_string(v.tokens.size()) + " tokens, but " +
                  std::to_string(v.kinds.size()) + " token types");
  }
  if (!v.is_byte_level && v.scores.size() != v.tokens.size()) {
    bad_tokenizer("the vocabulary has " + std::to_string(v.tokens.size()) + " tokens, but " +
                  std::to_string(v.scores.size()) + " scores");
  }
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    if (find_utf8_fault(v.tokens[id])) {
      bad_tokenizer("token " + std::to_string(id) + " is not UTF-8");
    }
    if (!v.is_byte_level && !std::isfinite(v.scores[id])) {
      bad_tokenizer("the score of token " + std::to_string(id) + " is not a number");
    }
  }
}

Json split_json(const NamedSplit& split) {
  Json steps = Json::array();
  for (const std::string_view pattern : split.patterns) {
    steps.push_back(typed("Split", {{"pattern", Json::object({{"Regex", Json(pattern)}})},
                                    {"behavior", Json("Isolated")}}));
  }
  steps.push_back(
      typed("ByteLevel", {{"add_prefix_space", Json(false)}, {"use_regex", Json(false)}}));
  return typed("Sequence", {{"pretokenizers", std::move(steps)}});
}

BpeLists bpe_lists(const Vocabulary& v) {
  BpeLists lists;
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    if (!v.tokens[id].empty()) lists.vocab.emplace_back(v.tokens[id], static_cast<int64_t>(id));
  }
  for (size_t rank = 0; rank < v.merges.size(); ++rank) {
    const std::string_view merge = v.merges[rank];
    // A part may be a blank itself, but the first one is not empty.
    const size_t blank = merge.find(' ', 1);
    if (blank == merge.npos || find_utf8_fault(merge)) {
      bad_tokenizer("merge " + std::to_string(rank) + " is not two tokens with a blank between");
    }
    lists.merges.emplace_back(merge.substr(0, blank), merge.substr(blank + 1));
  }
  return lists;
}

Json normalizer_json(bool puts_space_prefix) {
  Json steps = Json::array();
  if (puts_space_prefix) steps.push_back(typed("Prepend", {{"prepend", Json(kBlankMark)}}));
  steps.push_back(typed("Replace", {{"pattern", Json::object({{"String", Json(" ")}})},
                                    {"content", Json(kBlankMark)}}));
  return typed("Sequence", {{"normalizers", std::move(steps)}});
}

Json piece_decoder_json(bool puts_space_prefix) {
  Json steps = Json::array();
  steps.push_back(typed("Replace", {{"pattern", Json::object({{"String", Json(kBlankMark)}})},
                                    {"content", Json(" ")}}));
  steps.push_back(typed("ByteFallback"));
  steps.push_back(typed("Fuse"));
  if (puts_space_prefix) {
    steps.push_back(
        typed("Strip", {{"content", Json(" ")}, {"start", Json(1)}, {"stop", Json(0)}}));
  }
  return typed("Sequence", {{"decoders", std::move(steps)}});
}

// Found in the text before anything else looks at it.
std::vector<AddedToken> added_tokens(const Vocabulary& v) {
  std::vector<AddedToken> added;
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    const std::string& text = v.tokens[id];
    const TokenKind kind = v.kinds[id];
    const bool is_special = kind == TokenKind::kControl || kind == TokenKind::kUnknown;
    if (text.empty() || (!is_special && kind != TokenKind::kUserDefined)) continue;
    // Places that the vocabulary keeps free.
    if (kind == TokenKind::kControl && text.find("unused") != text.npos) continue;
    AddedToken token;
    token.id = static_cast<int32_t>(id);
    token.content = text;
    token.normalized = false;
    token.special = is_special;
    token.rstrip = v.control_tokens_strip && is_special && text != "<unk>" && text != "<s>" &&
                   text != "<|endoftext|>";
    added.push_back(std::move(token));
  }
  return added;
}

Json post_processor_json(const Vocabulary& v) {
  Json single = Json::array();
  Json tokens = Json::object();
  const auto add = [&](const char* name, std::optional<int32_t> id) {
    if (!id)
      bad_tokenizer(std::string("texts are to get a token ") + name + ", which is not named");
    single.push_back(Json::object({{"SpecialToken", Json::object({{"id", Json(name)}})}}));
    tokens.set(name, Json::object({{"ids", Json::array({Json(static_cast<int64_t>(*id))})}}));
  };
  if (v.puts_bos()) add("bos", v.bos);
  single.push_back(Json::object({{"Sequence", Json::object({{"id", Json("A")}})}}));
  if (v.puts_eos()) add("eos", v.eos);
  return typed("TemplateProcessing",
               {{"single", std::move(single)}, {"special_tokens", std::move(tokens)}});
}

}  // namespace

Tokenizer::Tables::Tables(const Vocabulary& v) {
  check_lists(v);
  if (v.is_byte_level) {
    const auto split = find_split(v.split);
    if (!split) {
      const std::vector<std::string_view> names = split_names();
      throw Error(ErrorKind::kFormat, "the pre-tokenizer \"" + v.split + "\" is not known",
                  "known: " + join({names.begin(), names.end()}, ", "));
    }
    pre_tokenizer = PreTokenizer::from_json(split_json(*split));
    decoder = Decoder::from_json(typed("ByteLevel"));
    const BpeLists lists = bpe_lists(v);
    const Json rules = typed("BPE", {{"ignore_merges", Json(split->takes_whole_words)}});
    model = std::make_unique<BpeModel>(BpeModel::from_json(rules, &lists, true));
  } else {
    normalizer = Normalizer::from_json(normalizer_json(v.puts_space_prefix()));
    decoder = Decoder::from_json(piece_decoder_json(v.puts_space_prefix()));
    model = std::make_unique<PieceModel>(v.tokens, v.scores, v.unknown);
  }
  add_tokens(added_tokens(v));
  post_processor = PostProcessor::from_json(post_processor_json(v), id_limit);
}

Tokenizer Tokenizer::from_vocabulary(const Vocabulary& vocabulary, std::string_view path) {
  try {
    return Tokenizer(std::make_shared<const Tables>(vocabulary));
  } catch (const Error& error) {
    const bool names_json = error.hint().find("tokenizer.json") != std::string::npos;
    throw Error(error.kind(), error.message(),
                names_json ? "the file is damaged; export or fetch it again" : error.hint(),
                {std::string(path)});
  }
}

}  // namespace dlm
