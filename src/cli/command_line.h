// The command line as a whole: options of all commands, and how errors become messages and exit
// codes.
#pragma once

namespace dlm {

// 0 done, 1 runtime failure, 2 wrong use, 130 interrupted.
int run_command_line(int argc, char** argv);

}  // namespace dlm
