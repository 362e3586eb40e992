// dlm init: writes a fresh document, empty or from the gallery, and creates its store.

#include <CLI/CLI.hpp>
#include <memory>

#include "bases/hub_name.h"
#include "bases/registry.h"
#include "cli/command.h"
#include "cli/consent.h"
#include "cli/console.h"
#include "doc/document.h"
#include "doc/gallery.h"
#include "doc/scaffold.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "store/store_lock.h"
#include "support/clock.h"
#include "support/ulid.h"
#include "train/run_record.h"

namespace dlm {

namespace {

struct InitOptions {
  std::string path;
  std::optional<std::string> base;
  std::optional<std::string> template_name;
  bool accepts_license = false;
  bool force = false;
  bool multimodal = false;
  bool audio = false;
};

ScaffoldKind scaffold_kind(const InitOptions& options) {
  if (options.multimodal) return ScaffoldKind::kImage;
  return options.audio ? ScaffoldKind::kAudio : ScaffoldKind::kText;
}

std::string chosen_base(const InitOptions& options, const GalleryTemplate* from) {
  if (options.base) return *options.base;
  if (from) return from->meta.recommended_base;
  if (options.multimodal) return "paligemma-3b-mix-224";
  return options.audio ? "qwen2-audio-7b-instruct" : "dlm-nano";
}

// A base whose kind is known must be of the kind that the document needs.
void check_modality(const InitOptions& options, const std::string& base) {
  const BaseInfo* known = find_any_base(base);
  if (!known) return;
  const std::string is = base_of(known->modality);
  std::string needed = "a text base";
  if (options.multimodal) needed = base_of(Modality::kVisionLanguage);
  if (options.audio) needed = base_of(Modality::kAudioLanguage);
  if (is == needed) return;
  throw Error(ErrorKind::kUsage, "base " + base + " is " + is + "; this document needs " + needed,
              !options.multimodal && !options.audio
                  ? "--multimodal and --audio write documents for bases that see or hear"
                  : "leave --base out for one that does");
}

// A base that is on this machine, one without a revision else: that is told at once, but is no
// reason to refuse a document. A misspelt key is.
Base look_up(const std::string& base) {
  const BaseSearch search = base_search();
  try {
    return open_base(base, search);
  } catch (const Error& e) {
    if (!find_any_base(base) && !is_hub_name(base)) throw;
    warn(e.message() +
         (is_absent_base(base, search) ? "; `dlm bases pull " + base + "` fetches it" : ""));
    return {base, {}, {}, {}};
  }
}

// The id of the document that is overwritten, or a new one where it has none.
std::string id_to_keep(const fs::path& path) {
  const std::string bytes = read_file(path, kMaxDocumentBytes);
  try {
    return read_document_id(bytes, path.string());
  } catch (const Error&) {
    return new_ulid(system_clock(), os_random);
  }
}

// The store, with a manifest; one that exists goes on.
void provision(const StoreLayout& store, const StoreLock& lock, Manifest fresh) {
  store.ensure();
  if (!store.is_initialized()) {
    write_manifest(store, fresh, lock);
  } else if (fresh.license_acceptance) {
    Manifest manifest = read_manifest(store);
    manifest.license_acceptance = fresh.license_acceptance;
    write_manifest(store, manifest, lock);
  }
}

int run_init(const InitOptions& options, const GlobalOptions& globals) {
  const fs::path path = options.path;
  const bool exists = path_exists(path);
  if (exists && !options.force) {
    throw Error(ErrorKind::kIo, "the file exists already",
                "choose another name, or overwrite it with --force", {path.string(), 0, 0});
  }
  const GalleryTemplate* from =
      options.template_name ? &find_template(*options.template_name) : nullptr;
  const std::string base = chosen_base(options, from);
  check_modality(options, base);
  const Base found = look_up(base);

  Manifest manifest;
  ConsentRequest consent;
  consent.base = base;
  consent.home = home_folder(globals);
  consent.is_given = options.accepts_license;
  manifest.license_acceptance = require_license(consent);
  const Clock& clock = system_clock();
  // The store of an overwritten document goes on under its id.
  const std::string id = exists ? id_to_keep(path) : new_ulid(clock, os_random);
  if (path.has_parent_path()) make_folders(path.parent_path());
  // Before the document, so that a store in use leaves the old one as it is.
  const StoreLayout store(home_folder(globals), id);
  const StoreLock lock = StoreLock::acquire(store, clock);
  write_file_atomic(path, from ? instantiate_template(*from, id, base)
                               : scaffold_document(id, base, scaffold_kind(options)));
  manifest.dlm_id = id;
  manifest.created_at = format_utc(clock.unix_seconds());
  manifest.updated_at = manifest.created_at;
  manifest.base_model = base;
  if (!found.revision.empty()) manifest.base_model_revision = found.revision;
  pin_commit(manifest.pinned_versions, found.commit);
  manifest.source_path = fs::absolute(path).lexically_normal().string();
  provision(store, lock, std::move(manifest));
  if (globals.quiet) return 0;
  say("init: wrote " + path.string());
  if (from) say("template: " + from->meta.name + ", " + from->meta.title + " (" + base + ")");
  say("next: edit it, then run `dlm train " + path.string() + "`");
  return 0;
}

}  // namespace

Action add_init(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand("init", "Write a fresh document and create its store");
  command->add_option("path", options->path, "The document to write")
      ->required()
      ->type_name("PATH");
  command
      ->add_option("--base", options->base,
                   "Base model: a key, or the folder of one (default: dlm-nano, or that of the "
                   "template)")
      ->type_name("KEY");
  auto* from = command
                   ->add_option("--template", options->template_name,
                                "Start from a template (`dlm templates list`)")
                   ->type_name("NAME");
  command->add_flag("--i-accept-license", options->accepts_license,
                    "Accept the licence of a base that asks for it");
  command->add_flag("--force", options->force, "Overwrite an existing file; its store is kept");
  auto* image = command->add_flag("--multimodal", options->multimodal,
                                  "Write a document with an image, for a base that sees");
  auto* audio = command->add_flag("--audio", options->audio,
                                  "Write a document with a recording, for a base that hears");
  image->excludes(audio)->excludes(from);
  audio->excludes(from);
  return [options, &globals] { return run_init(*options, globals); };
}

}  // namespace dlm
