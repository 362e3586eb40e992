#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "cli/command.h"
#include "cli/console.h"
#include "store/store_layout.h"
#include "support/interrupt.h"
#include "support/text.h"
#include "support/version.h"

namespace dlm {

namespace {

// The first argument that no command took and that is no option; "" when a command was given.
std::string unknown_command(const CLI::App& app) {
  if (!app.get_subcommands().empty()) return {};
  for (const std::string& word : app.remaining()) {
    if (!word.starts_with("-")) return word;
  }
  return {};
}

}  // namespace

fs::path home_folder(const GlobalOptions& globals) {
  std::optional<fs::path> wanted;
  if (globals.home) wanted = *globals.home;
  return dlm_home(wanted, [](const char* name) { return std::getenv(name); });
}

BaseSearch base_search() {
  return BaseSearch::of_process();
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Turns a .dlm text document into a LoRA adapter on this machine.", "dlm");
  app.set_version_flag("--version", std::string("dlm ") + kVersion);
  app.require_subcommand(1);
  app.fallthrough();
  GlobalOptions globals;
  app.add_option("--home", globals.home, "Folder of the stores (default: $DLM_HOME, else ~/.dlm)")
      ->type_name("FOLDER");
  auto* verbose = app.add_flag("-v,--verbose", globals.verbose, "Say more");
  app.add_flag("-q,--quiet", globals.quiet, "Say only what went wrong")->excludes(verbose);
  app.add_option("--threads", globals.num_threads,
                 "Threads (default: $DLM_THREADS, else all cores)")
      ->check(CLI::Range(1, 1024));
  std::map<std::string, Action> actions;
  actions["init"] = add_init(app, globals);
  actions["train"] = add_train(app, globals);
  actions["prompt"] = add_prompt(app, globals);
  actions["show"] = add_show(app, globals);
  actions["migrate"] = add_migrate(app, globals);
  actions["replay"] = add_replay(app, globals);
  actions["reproduce"] = add_reproduce(app, globals);
  actions["templates"] = add_templates(app, globals);
  actions["bases"] = add_bases(app, globals);
  actions["cache"] = add_cache(app, globals);
  actions["pretrain"] = add_pretrain(app, globals);
  actions["export"] = add_export(app, globals);
  actions["doctor"] = add_doctor(app, globals);

  if (argc <= 1) {
    std::fputs(app.help().c_str(), stdout);
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (const std::string word = unknown_command(app); !word.empty() && e.get_exit_code() != 0) {
      std::vector<std::string> names;
      for (const auto& [name, action] : actions) names.push_back(name);
      const auto near = nearest_word(word, names);
      return report(Error(ErrorKind::kUsage, "there is no command \"" + word + "\"",
                          near ? "did you mean \"" + *near + "\"?"
                               : "the commands are " + join(names, ", ") + "; see dlm --help"),
                    "dlm");
    }
    const int code = app.exit(e);
    return code == 0 ? 0 : 2;
  }
  const std::string command = app.get_subcommands().front()->get_name();
  // A closed pipe is an error of write(), not the end of the process.
  // Nor is a file that the system allows to grow no further.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  install_interrupt_handlers();
  try {
    return actions.at(command)();
  } catch (const Error& e) {
    return report(e, command);
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorKind::kTrain, "not enough memory",
                        "close other programs, or use a smaller base"),
                  command);
  } catch (const std::exception& e) {
    return report(
        Error(ErrorKind::kInternal, e.what(), "this is a defect in dlm; please report it"),
        "error");
  }
}

}  // namespace dlm
