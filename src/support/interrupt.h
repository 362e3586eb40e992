// Ctrl-C and termination as a flag that long work asks between steps, so that it stops where
// nothing is half written. A second signal ends the process at once.
#pragma once

namespace dlm {

// SIGINT and SIGTERM raise the flag from here on.
void install_interrupt_handlers();
bool is_interrupted();
// Throws Error(kInterrupted) when the flag is up.
void check_interrupted();
// Raises and lowers the flag without a signal.
void raise_interrupt();
void clear_interrupt();

}  // namespace dlm
