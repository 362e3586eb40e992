// dlm init: writes a fresh document and creates its store.

#include <CLI/CLI.hpp>
#include <memory>

#include "bases/registry.h"
#include "cli/command.h"
#include "cli/console.h"
#include "doc/document.h"
#include "doc/scaffold.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "store/store_lock.h"
#include "support/clock.h"
#include "support/ulid.h"

namespace dlm {

namespace {

struct InitOptions {
  std::string path;
  std::string base = "dlm-nano";
  bool force = false;
};

int run_init(const InitOptions& options, const GlobalOptions& globals) {
  const fs::path path = options.path;
  std::error_code ignored;
  if (fs::exists(path, ignored) && !options.force) {
    throw Error(ErrorKind::kIo, "the file exists already",
                "choose another name, or overwrite it with --force", {path.string(), 0, 0});
  }
  // Looked up now, so that a misspelled base is told at once; what is not on this machine yet is no
  // reason to refuse a document.
  std::string revision;
  std::string key = options.base;
  try {
    const Base base = open_base(options.base, base_search());
    revision = base.revision;
    key = base.key;
  } catch (const Error& e) {
    if (find_base(options.base) == nullptr && !options.base.starts_with("hf:")) throw;
    warn(e.message());
  }
  const Clock& clock = system_clock();
  std::string id;
  if (options.force && fs::exists(path, ignored)) {
    // The store of the overwritten document goes on under its id.
    try {
      id = load_document(path).frontmatter.dlm_id;
    } catch (const Error&) {
      id.clear();
    }
  }
  if (id.empty()) id = new_ulid(clock, os_random);
  if (path.has_parent_path()) make_folders(path.parent_path());
  // Before the document, so that a store in use leaves the old one as it is.
  const StoreLayout store(home_folder(globals), id);
  const StoreLock lock = StoreLock::acquire(store, clock);
  write_file_atomic(path, scaffold_document(id, key));
  store.ensure();
  if (!store.is_initialized()) {
    Manifest manifest;
    manifest.dlm_id = id;
    manifest.created_at = format_utc(clock.unix_seconds());
    manifest.updated_at = manifest.created_at;
    manifest.base_model = key;
    if (!revision.empty()) manifest.base_model_revision = revision;
    manifest.source_path = fs::absolute(path).lexically_normal().string();
    write_manifest(store, manifest, lock);
  }
  if (!globals.quiet) {
    say("init: wrote " + path.string());
    say("next: edit it, then run `dlm train " + path.string() + "`");
  }
  return 0;
}

}  // namespace

Action add_init(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand("init", "Write a fresh document and create its store");
  command->add_option("path", options->path, "The document to write")
      ->required()
      ->type_name("PATH");
  command->add_option("--base", options->base, "Base model: a key, or the folder of one")
      ->capture_default_str()
      ->type_name("KEY");
  command->add_flag("--force", options->force, "Overwrite an existing file; its store is kept");
  return [options, &globals] { return run_init(*options, globals); };
}

}  // namespace dlm
