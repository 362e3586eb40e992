// What the commands share: global options and the table of commands. Each command registers its
// options and gives back what to run.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "bases/locate.h"
#include "support/file.h"

namespace CLI {
class App;
}

namespace dlm {

struct GlobalOptions {
  std::optional<std::string> home;
  bool verbose = false;
  bool quiet = false;
  int num_threads = 0;
};

// A command's action; returns the exit code.
using Action = std::function<int()>;

// Each adds its subcommand to `app`; the action runs after parsing, when that subcommand was given.
Action add_init(CLI::App& app, const GlobalOptions& globals);
Action add_train(CLI::App& app, const GlobalOptions& globals);
Action add_prompt(CLI::App& app, const GlobalOptions& globals);
Action add_show(CLI::App& app, const GlobalOptions& globals);
Action add_migrate(CLI::App& app, const GlobalOptions& globals);
Action add_replay(CLI::App& app, const GlobalOptions& globals);
Action add_reproduce(CLI::App& app, const GlobalOptions& globals);
Action add_templates(CLI::App& app, const GlobalOptions& globals);
Action add_bases(CLI::App& app, const GlobalOptions& globals);
Action add_cache(CLI::App& app, const GlobalOptions& globals);
Action add_pretrain(CLI::App& app, const GlobalOptions& globals);
Action add_export(CLI::App& app, const GlobalOptions& globals);
Action add_doctor(CLI::App& app, const GlobalOptions& globals);

// Where stores lie: --home, $DLM_HOME, ~/.dlm.
fs::path home_folder(const GlobalOptions& globals);
// Where bases are looked for, relative to this program.
BaseSearch base_search();

}  // namespace dlm
