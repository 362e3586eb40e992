// dlm migrate: rewrites an older document in the current schema version.

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "doc/document.h"
#include "doc/migrate.h"
#include "doc/migrate_text.h"

namespace dlm {

namespace {

struct MigrateOptions {
  std::string path;
  bool dry_run = false;
  bool no_backup = false;
};

// "v1 → v2 → … → v15", each version by name.
std::string chain_from(int version) {
  std::string text = "v" + std::to_string(version);
  while (version < kCurrentSchemaVersion) text += " → v" + std::to_string(++version);
  return text;
}

// A copy with the file's mode, replacing an older one.
fs::path back_up(const fs::path& path) {
  fs::path backup = path;
  backup += ".bak";
  std::error_code error;
  fs::copy_file(path, backup, fs::copy_options::overwrite_existing, error);
  if (error) {
    throw Error(ErrorKind::kIo, "cannot write the backup: " + error.message(),
                "free the name, or go without one with --no-backup", {backup.string(), 0, 0});
  }
  sync_file(backup);
  sync_folder(backup.has_parent_path() ? backup.parent_path() : fs::path("."));
  return backup;
}

int run_migrate(const MigrateOptions& options, const GlobalOptions& globals) {
  const fs::path path = options.path;
  const MigratedText migrated = migrate_text(read_file(path, kMaxDocumentBytes), path.string());
  const auto tell = [&](const std::string& line) {
    if (!globals.quiet) say(line);
  };
  for (const Warning& w : migrated.warnings) warn(w.place.to_string() + ": " + w.message);
  if (!migrated.is_applied) {
    tell("migrate: " + path.string() + " is at v" + std::to_string(kCurrentSchemaVersion) +
         " already");
    return 0;
  }
  if (!migrated.kept_comments) {
    warn("the settings of " + path.string() +
         " cannot be edited in place; they are written anew, without their comments");
  }
  if (options.dry_run) {
    tell("dry-run: would migrate " + path.string() + ": " + chain_from(migrated.from));
    return 0;
  }
  if (!options.no_backup) tell("backup: " + back_up(path).string());
  write_file_atomic(path, migrated.bytes);
  tell("migrated: " + path.string() + ": " + chain_from(migrated.from));
  return 0;
}

}  // namespace

Action add_migrate(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<MigrateOptions>();
  CLI::App* command =
      app.add_subcommand("migrate", "Rewrite an older document in the current schema version");
  command->add_option("path", options->path, "The document")->required()->type_name("PATH");
  command->add_flag("--dry-run", options->dry_run, "Say what would be done, write nothing");
  command->add_flag("--no-backup", options->no_backup, "Do not keep the old text as PATH.bak");
  return [options, &globals] { return run_migrate(*options, globals); };
}

}  // namespace dlm
