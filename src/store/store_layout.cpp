// Path arithmetic of stores. Ids and adapter names come from documents, so both are checked before
// they become part of a path.
#include "store/store_layout.h"

#include <fmt/format.h>

#include "support/clock.h"
#include "support/error.h"

namespace dlm {
namespace {

fs::path expand_home(const fs::path& path, const Environment& environment) {
  const std::string text = path.string();
  if (text != "~" && !text.starts_with("~/")) return fs::absolute(path).lexically_normal();
  const char* user_home = environment("HOME");
  if (user_home == nullptr || *user_home == '\0') {
    throw Error(ErrorKind::kUsage, "the home folder is not known: $HOME is not set",
                "pass --home FOLDER or set DLM_HOME");
  }
  return fs::absolute(fs::path(user_home) / text.substr(std::min<size_t>(2, text.size())))
      .lexically_normal();
}

std::string run_stem(int64_t run_id, int64_t started_unix_seconds) {
  return fmt::format("train-{:06}-{}", run_id, format_utc_compact(started_unix_seconds));
}

}  // namespace

fs::path dlm_home(const std::optional<fs::path>& explicit_home, const Environment& environment) {
  if (explicit_home && !explicit_home->empty()) return expand_home(*explicit_home, environment);
  const char* variable = environment("DLM_HOME");
  if (variable != nullptr && *variable != '\0') return expand_home(variable, environment);
  return expand_home("~/.dlm", environment);
}

bool is_store_id(std::string_view id) {
  return id.size() == 26 && id.find_first_not_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ") == id.npos;
}

bool is_stored_adapter_name(std::string_view name) {
  if (name.empty() || name.size() > 32 || name == "versions") return false;
  return name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
}

StoreLayout::StoreLayout(const fs::path& home, std::string_view dlm_id) {
  if (!is_store_id(dlm_id)) {
    throw Error(ErrorKind::kStore, "\"" + std::string(dlm_id) + "\" is no document id",
                "a dlm_id has 26 characters of 0-9 and A-Z without I, L, O and U");
  }
  root_ = home / "store" / std::string(dlm_id);
}

StoreLayout StoreLayout::at(fs::path root) {
  StoreLayout layout;
  layout.root_ = std::move(root);
  return layout;
}

fs::path StoreLayout::adapter(std::string_view name) const {
  if (name.empty()) return root_ / "adapter";
  if (!is_stored_adapter_name(name)) {
    throw Error(ErrorKind::kStore, "\"" + std::string(name) + "\" is no adapter name",
                "adapter names have up to 32 characters of a-z, 0-9 and _, starting with a letter");
  }
  return root_ / "adapter" / std::string(name);
}

fs::path StoreLayout::versions(std::string_view name) const {
  return adapter(name) / "versions";
}

fs::path StoreLayout::current(std::string_view name) const {
  return adapter(name) / "current.txt";
}

fs::path StoreLayout::version(int64_t number, std::string_view name) const {
  return versions(name) / version_name(number);
}

fs::path StoreLayout::checkpoint(std::string_view name) const {
  return adapter(name) / ".checkpoint";
}

fs::path StoreLayout::exports(std::string_view quant) const {
  // Weights of a mix bring dots: "Q4_K_M-merged-mix-tone-0.7-facts-0.3".
  const bool is_plain = !quant.empty() && quant.front() != '.' &&
                        quant.find_first_of("/\\") == quant.npos && quant.find("..") == quant.npos;
  check(is_plain, "the name of an export is no folder name");
  return root_ / "exports" / std::string(quant);
}

fs::path StoreLayout::run_log(int64_t run_id, int64_t started_unix_seconds) const {
  return logs() / (run_stem(run_id, started_unix_seconds) + ".jsonl");
}

fs::path StoreLayout::run_summary(int64_t run_id, int64_t started_unix_seconds) const {
  return logs() / (run_stem(run_id, started_unix_seconds) + ".summary.json");
}

bool StoreLayout::is_initialized() const {
  std::error_code ignored;
  return fs::is_regular_file(manifest(), ignored);
}

void StoreLayout::ensure() const {
  make_folders(versions());
  make_folders(logs());
}

std::string StoreLayout::relative(const fs::path& path) const {
  const fs::path inside = path.lexically_relative(root_);
  if (inside.empty() || *inside.begin() == "..") return path.generic_string();
  return inside.generic_string();
}

std::string version_name(int64_t number) {
  check(number >= 1, "adapter versions count from 1");
  return fmt::format("v{:04}", number);
}

}  // namespace dlm
