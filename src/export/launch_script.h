// Scripts of POSIX sh that start a server on the files beside them, wherever the folder lies.
#pragma once

#include <string>
#include <vector>

#include "support/file.h"

namespace dlm {

// A word of the command: text as it is, with `file` a path below the script's folder appended.
struct LaunchWord {
  std::string text;
  std::string file;
};

// `about`: one line for people. Further arguments of the script go to the program.
std::string launch_script(const std::string& about, const std::vector<LaunchWord>& words);

// Writes it as a file that can be run.
void write_script(const fs::path& path, const std::string& script);

// One word for the shell; unchanged where nothing needs quotes.
std::string shell_word(const std::string& text);

}  // namespace dlm
