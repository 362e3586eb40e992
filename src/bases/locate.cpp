#include "bases/locate.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "bases/hub_cache.h"
#include "bases/hub_name.h"
#include "bases/hub_settings.h"
#include "bases/registry.h"
#include "formats/safetensors.h"
#include "model/config.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {

namespace {

[[noreturn]] void fail(std::string message, std::string hint, const fs::path& path = {}) {
  throw Error(ErrorKind::kBase, std::move(message), std::move(hint), {path.string(), 0, 0});
}

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
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
  if (const BaseInfo* media = find_media_base(key)) {
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

// How large it is, as far as is known.
std::string cost_of(const BaseInfo& base) {
  char text[32];
  std::snprintf(text, sizeof(text), base.size_gb < 1 ? "%.2f GB" : "%.1f GB", base.size_gb);
  return text;
}

[[noreturn]] void fail_absent(const BaseInfo& base, const BaseSearch& search) {
  std::vector<std::string> looked;
  for (const fs::path& folder : search.folders()) looked.push_back((folder / base.key).string());
  if (!base.hf_id.empty() && !search.hub_cache.empty()) {
    looked.push_back(HubCache(search.hub_cache, base.hf_id).snapshot(base.revision).string());
  }
  const std::string places =
      " (looked in: " + (looked.empty() ? "no folder" : join(looked, ", ")) + ")";
  const std::string message = "base " + in_quotes(base.key) + " is not on this machine";
  if (base.hf_id.empty()) fail(message, "install dlm with its bases, or set DLM_BASES" + places);
  fail(message, "`dlm bases pull " + std::string(base.key) + "` fetches it (" + cost_of(base) +
                    ")" + places);
}

// A folder of the cache that lacks something can be completed.
void check_fetched(const fs::path& folder, std::string_view base) {
  try {
    check_base_files(folder);
  } catch (const Error& error) {
    throw Error(error.kind(), error.message(),
                "`dlm bases pull " + std::string(base) +
                    "` fetches what is missing, and `dlm bases verify " + std::string(base) +
                    "` finds what is damaged",
                error.place());
  }
}

// The commit that a name on the hub stands for here; none when this machine does not know it.
std::optional<std::string> commit_of(std::string_view base, const HubName& name,
                                     const BaseSearch& search) {
  if (const auto pinned = search.commits.find(base); pinned != search.commits.end()) {
    return pinned->second;
  }
  return HubCache(search.hub_cache, name.repository)
      .commit_of(name.revision.empty() ? kDefaultRevision : name.revision);
}

fs::path locate_hub_base(std::string_view base, const BaseSearch& search) {
  const HubName name = parse_hub_name(base);
  const auto commit = search.hub_cache.empty() ? std::nullopt : commit_of(base, name, search);
  if (commit) {
    const fs::path folder = HubCache(search.hub_cache, name.repository).snapshot(*commit);
    if (is_folder(folder)) {
      check_fetched(folder, base);
      return folder;
    }
  }
  std::string wanted(base), which;
  if (const auto pinned = search.commits.find(base); pinned != search.commits.end()) {
    wanted = HubName{name.repository, pinned->second}.text();
    which = " at the commit of the document's runs";
  }
  fail("base " + in_quotes(base) + " is not on this machine" + which,
       "`dlm bases pull " + wanted + "` fetches it");
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
  search.hub_cache = hub_cache_folder([](const char* name) { return std::getenv(name); });
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
  if (is_hub_name(key_or_path)) return locate_hub_base(key_or_path, search);
  if (key_or_path.find('/') != std::string_view::npos) {
    const fs::path folder = locate_path(key_or_path);
    check_base_files(folder);
    return folder;
  }
  const BaseInfo& base = require_known_base(key_or_path);
  for (const fs::path& folder : search.folders()) {
    const fs::path candidate = folder / base.key;
    std::error_code ignored;
    if (!fs::is_directory(candidate, ignored)) continue;
    check_base_files(candidate);
    return candidate;
  }
  if (!base.hf_id.empty() && !search.hub_cache.empty()) {
    const fs::path folder = HubCache(search.hub_cache, base.hf_id).snapshot(base.revision);
    if (is_folder(folder)) {
      check_fetched(folder, key_or_path);
      return folder;
    }
  }
  fail_absent(base, search);
}

const BaseInfo& require_known_base(std::string_view key) {
  const BaseInfo* base = find_base(key);
  if (base == nullptr) fail_unknown(key);
  return *base;
}

bool is_absent_base(std::string_view key_or_path, const BaseSearch& search) {
  try {
    locate_base(key_or_path, search);
    return false;
  } catch (const Error&) {
  }
  if (is_hub_name(key_or_path)) return true;
  const BaseInfo* base = find_base(key_or_path);
  if (base == nullptr || base->hf_id.empty()) return false;
  // One that lies here and is broken has to be mended, not hidden behind another copy.
  const auto folders = search.folders();
  return std::none_of(folders.begin(), folders.end(),
                      [&](const fs::path& folder) { return is_folder(folder / base->key); });
}

void check_base_json(const fs::path& folder, const char* name) {
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

void check_base_files(const fs::path& folder) {
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    check_base_json(folder, name);
  }
  try {
    load_model_config(folder);
    SafetensorsSet::open(folder);
  } catch (const Error& e) {
    // A damaged file of a base is a fault of the base, whatever its format calls it.
    throw Error(ErrorKind::kBase, e.message(), e.hint(), e.place());
  }
}

bool is_whole_base(const fs::path& folder) {
  try {
    check_base_files(folder);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// The commit of a folder in the cache: its name, since the cache keeps one folder each.
static std::string hub_commit_of(const fs::path& folder, const BaseSearch& search) {
  const std::string name = folder.filename().string();
  const bool is_of_cache = !search.hub_cache.empty() && is_commit(name) &&
                           folder.parent_path().parent_path().parent_path() == search.hub_cache;
  return is_of_cache ? name : std::string();
}

Base open_base(std::string_view key_or_path, const BaseSearch& search) {
  Base base;
  base.key = std::string(key_or_path);
  base.folder = locate_base(key_or_path, search);
  base.revision = weights_digest(base.folder);
  base.commit = hub_commit_of(base.folder, search);
  return base;
}

std::string weights_digest(const fs::path& folder) {
  const fs::path single = folder / "model.safetensors";
  return fs::exists(single) ? sha256_file_hex(single) : shard_digests(folder);
}

}  // namespace dlm
