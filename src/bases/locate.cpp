#include "bases/locate.h"

#include <algorithm>
#include <cstdlib>

#include "bases/media_base.h"
#include "bases/registry.h"
#include "formats/safetensors.h"
#include "model/config.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr std::string_view kHub = "hf:";

[[noreturn]] void fail(std::string message, std::string hint, const fs::path& path = {}) {
  throw Error(ErrorKind::kBase, std::move(message), std::move(hint), {path.string(), 0, 0});
}

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

// A JSON file that is there, not empty, and closed by the brace that opens it: a copy that was cut
// off ends elsewhere. What it says is for its reader to check.
void check_json_file(const fs::path& folder, const char* name) {
  const fs::path path = folder / name;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) {
    fail("the base has no " + std::string(name),
         "copy it from where the weights came from; a base needs config.json, model.safetensors, "
         "tokenizer.json and tokenizer_config.json",
         path);
  }
  const auto file = MappedFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                               file->bytes().size());
  const std::string_view text =
      trim(bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 64)));
  if (bytes.empty() || text.empty() || text.back() != '}') {
    fail(std::string(name) + (bytes.empty() ? " is empty" : " is cut off"),
         "copy the file again: it does not end as a JSON object does", path);
  }
}

void check_files(const fs::path& folder) {
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    check_json_file(folder, name);
  }
  try {
    load_model_config(folder);
    SafetensorsSet::open(folder);
  } catch (const Error& e) {
    // A damaged file of a base is a fault of the base, whatever its format calls it.
    throw Error(ErrorKind::kBase, e.message(), e.hint(), e.place());
  }
}

fs::path locate_path(std::string_view text) {
  const fs::path folder{std::string(text)};
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    const auto& bases = known_bases();
    const auto same = std::find_if(bases.begin(), bases.end(),
                                   [&](const BaseInfo& b) { return b.hf_id == text; });
    fail("there is no folder " + in_quotes(text),
         same != bases.end()
             ? "this base has the key " + in_quotes(same->key)
             : "give the key of a known base, or the path of a folder with its files");
  }
  return folder;
}

[[noreturn]] void fail_unknown(std::string_view key) {
  if (const MediaBase* media = find_media_base(key)) {
    fail("base " + in_quotes(key) + " is " + base_of(media->modality) +
             ", and this version runs bases of text only",
         "the document stays as it is; choose a text base to train what it says in words");
  }
  const std::vector<std::string> keys = base_keys();
  std::string hint;
  if (const auto near = nearest_word(lower_ascii(key), keys)) {
    hint = "did you mean " + in_quotes(*near) + "?";
  } else {
    hint = "known bases: " + join(keys, ", ") + "; or the path of a folder, as ./my-base";
  }
  fail("base " + in_quotes(key) + " is not known", hint);
}

[[noreturn]] void fail_absent(const BaseInfo& base, const BaseSearch& search) {
  std::string looked;
  for (const fs::path& folder : search.folders()) {
    looked += (looked.empty() ? "" : ", ") + (folder / base.key).string();
  }
  const std::string source = base.hf_id.empty()
                                 ? std::string(base.key)
                                 : "https://huggingface.co/" + std::string(base.hf_id);
  fail("base " + in_quotes(base.key) + " is not on this machine",
       "downloading is not built yet: copy the folder of " + source + " to $DLM_BASES/" +
           std::string(base.key) + " (looked in: " + (looked.empty() ? "no folder" : looked) + ")");
}

std::string shard_digests(const fs::path& folder) {
  std::vector<std::string> names;
  const SafetensorsSet set = SafetensorsSet::open(folder);
  for (const SafetensorsFile& file : set.files()) {
    names.push_back(file.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  std::string lines;
  for (const std::string& name : names) lines += name + " " + sha256_file_hex(folder / name) + "\n";
  return sha256_hex(std::string_view(lines));
}

}  // namespace

BaseSearch BaseSearch::of_process() {
  BaseSearch search;
  if (const char* own = std::getenv("DLM_BASES"); own != nullptr) search.own_folder = own;
  std::error_code unreadable;
  const fs::path program = fs::read_symlink("/proc/self/exe", unreadable);
  if (!unreadable) {
    search.installed_folder = program.parent_path().parent_path() / "share" / "dlm" / "bases";
  }
  search.built_folder = fs::path(DLM_SOURCE_ROOT) / "assets";
  return search;
}

std::vector<fs::path> BaseSearch::folders() const {
  std::vector<fs::path> all;
  for (const fs::path& folder : {own_folder, installed_folder, built_folder}) {
    if (!folder.empty()) all.push_back(folder);
  }
  return all;
}

fs::path locate_base(std::string_view key_or_path, const BaseSearch& search) {
  if (key_or_path.starts_with(kHub)) {
    const std::string_view id = key_or_path.substr(kHub.size());
    fail("base " + in_quotes(key_or_path) + " is not on this machine",
         "downloading is not built yet: copy the folder of https://huggingface.co/" +
             std::string(id) + " to this machine and name it by its path, as ./my-base");
  }
  if (key_or_path.find('/') != std::string_view::npos) {
    const fs::path folder = locate_path(key_or_path);
    check_files(folder);
    return folder;
  }
  const BaseInfo* base = find_base(key_or_path);
  if (base == nullptr) fail_unknown(key_or_path);
  for (const fs::path& folder : search.folders()) {
    const fs::path candidate = folder / base->key;
    std::error_code ignored;
    if (!fs::is_directory(candidate, ignored)) continue;
    check_files(candidate);
    return candidate;
  }
  fail_absent(*base, search);
}

Base open_base(std::string_view key_or_path, const BaseSearch& search) {
  Base base;
  base.key = std::string(key_or_path);
  base.folder = locate_base(key_or_path, search);
  base.revision = weights_digest(base.folder);
  return base;
}

std::string weights_digest(const fs::path& folder) {
  const fs::path single = folder / "model.safetensors";
  return fs::exists(single) ? sha256_file_hex(single) : shard_digests(folder);
}

}  // namespace dlm
