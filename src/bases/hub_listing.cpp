#include "bases/hub_listing.h"

#include <algorithm>
#include <array>

#include "bases/hub_name.h"
#include "support/error.h"
#include "support/git_hash.h"
#include "support/json.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";
// No file of a model is larger.
constexpr int64_t kMaxFileBytes = int64_t{1} << 44;

constexpr std::string_view kNeeded[] = {"config.json", "tokenizer.json", "tokenizer_config.json"};
constexpr std::string_view kOptional[] = {
    "added_tokens.json", "chat_template.jinja",     "generation_config.json",
    "merges.txt",        "special_tokens_map.json", "tokenizer.model",
    "vocab.json"};
constexpr std::string_view kPapers[] = {"LICENSE",    "LICENSE.md", "LICENSE.txt",  "NOTICE",
                                        "NOTICE.txt", "README.md",  "USE_POLICY.md"};
constexpr std::string_view kPickles[] = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

uint64_t size_of(const Json& file) {
  const Json* lfs = file.find("lfs");
  const Json* size = lfs != nullptr ? lfs->find("size") : nullptr;
  if (size == nullptr) size = file.find("size");
  if (size == nullptr || !size->is_int() || size->as_int() < 0 || size->as_int() > kMaxFileBytes) {
    return 0;
  }
  return static_cast<uint64_t>(size->as_int());
}

std::string digest_of(const Json& file) {
  const Json* lfs = file.find("lfs");
  const bool is_large = lfs != nullptr && lfs->is_object();
  const Json* digest = is_large ? lfs->find("sha256") : file.find("blobId");
  if (is_large && digest == nullptr) digest = lfs->find("oid");
  if (digest == nullptr || !digest->is_string()) return {};
  return is_hex(digest->as_string(), is_large ? 64 : 40) ? digest->as_string() : "";
}

std::string license_of(const Json& json) {
  const Json* card = json.find("cardData");
  const Json* license = card != nullptr ? card->find("license") : nullptr;
  if (license != nullptr && license->is_string() && license->as_string().size() < 64) {
    return license->as_string();
  }
  return {};
}

// "model-00001-of-00002.safetensors"
bool is_shard(std::string_view name) {
  return name.starts_with("model-") && name.ends_with(".safetensors");
}

[[noreturn]] void fail_weights(const HubListing& listing, std::string_view repository) {
  const auto has_end = [&](std::string_view end) {
    return std::any_of(listing.files.begin(), listing.files.end(),
                       [&](const HubFile& file) { return file.name.ends_with(end); });
  };
  const std::string name(repository);
  for (const std::string_view end : kPickles) {
    if (!has_end(end)) continue;
    throw Error(ErrorKind::kBase,
                name + " has its weights as pickled files (*" + std::string(end) + ") only",
                "reading such a file may run any code, so dlm never does: look for a revision or a "
                "copy of the model with *.safetensors");
  }
  if (has_end(".gguf")) {
    throw Error(ErrorKind::kBase, name + " has its weights as GGUF files only",
                "those are for running a model, not for training it: take the repository that they "
                "were made from");
  }
  throw Error(ErrorKind::kBase, name + " has no weights",
              "is it a model? A base needs model.safetensors, or shards with an index");
}

}  // namespace

HubListing parse_hub_listing(std::string_view text, std::string_view source) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kNetwork, std::string(source) + " " + what,
                "is this the address of a model hub, and is there a login or a proxy in between?");
  };
  const std::string_view begin = trim(text.substr(0, 256));
  if (begin.starts_with("<")) fail("answers with a web page instead of JSON");
  Json json;
  try {
    JsonLimits limits;
    limits.max_bytes = size_t{32} << 20;
    limits.max_depth = 32;
    json = parse_json(text, {}, limits);
  } catch (const Error& error) {
    fail("answers with broken JSON: " + error.message());
  }
  HubListing listing;
  const Json* commit = json.find("sha");
  if (commit == nullptr || !commit->is_string() || !is_commit(commit->as_string())) {
    fail("answers without a commit");
  }
  listing.commit = commit->as_string();
  const Json* gated = json.find("gated");
  listing.is_gated =
      gated != nullptr && (gated->is_string() || (gated->is_bool() && gated->as_bool()));
  listing.license = license_of(json);
  const Json* files = json.find("siblings");
  if (files == nullptr || !files->is_array()) fail("answers without a list of files");
  for (const Json& file : files->items()) {
    const Json* name = file.find("rfilename");
    if (name == nullptr || !name->is_string()) fail("lists a file without a name");
    if (!is_safe_file_name(name->as_string())) {
      throw Error(ErrorKind::kBase,
                  std::string(source) + " lists a file whose name leads out of its folder: \"" +
                      name->as_string() + "\"",
                  "nothing was fetched; do not trust this repository");
    }
    listing.files.push_back({name->as_string(), size_of(file), digest_of(file)});
  }
  return listing;
}

bool is_weight_file(std::string_view name) {
  return name.ends_with(".safetensors");
}

BaseFiles choose_base_files(const HubListing& listing, std::string_view repository) {
  const auto has = [&](std::string_view name) {
    return std::any_of(listing.files.begin(), listing.files.end(),
                       [&](const HubFile& file) { return file.name == name; });
  };
  for (const std::string_view name : kNeeded) {
    if (has(name)) continue;
    throw Error(
        ErrorKind::kBase, std::string(repository) + " has no " + std::string(name),
        "dlm reads models of transformers with a tokenizer.json; is there a converted copy?");
  }
  BaseFiles chosen;
  std::vector<HubFile> weights;
  const bool is_single = has(kSingle), has_index = has(kIndex);
  for (const HubFile& file : listing.files) {
    if (is_single ? file.name == kSingle : has_index && is_shard(file.name)) {
      weights.push_back(file);
    } else if (is_one_of(file.name, kNeeded) || is_one_of(file.name, kOptional) ||
               is_one_of(file.name, kPapers) || (!is_single && file.name == kIndex)) {
      chosen.files.push_back(file);
    }
  }
  if (weights.empty()) fail_weights(listing, repository);
  for (const std::string_view name : kOptional) {
    if (!has(name)) chosen.absent.emplace_back(name);
  }
  chosen.files.insert(chosen.files.end(), weights.begin(), weights.end());
  return chosen;
}

}  // namespace dlm
