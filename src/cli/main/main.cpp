// The program: hands its arguments to the command line and nothing else.

#include "cli/command_line.h"

int main(int argc, char** argv) {
  return dlm::run_command_line(argc, argv);
}
