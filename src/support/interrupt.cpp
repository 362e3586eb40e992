// The flag is a lock-free atomic, which is all that a signal handler may touch. SA_RESETHAND gives
// the second signal its default action back.
#include "support/interrupt.h"

#include <signal.h>

#include <atomic>

#include "support/error.h"

namespace dlm {
namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int) {
  flag.store(true);
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGINT, SIGTERM}) {
    check(::sigaction(signal, &action, nullptr) == 0, "a signal handler cannot be installed");
  }
}

bool is_interrupted() {
  return flag.load(std::memory_order_relaxed);
}

void check_interrupted() {
  if (is_interrupted()) throw Error(ErrorKind::kInterrupted, "interrupted");
}

void raise_interrupt() {
  flag.store(true);
}

void clear_interrupt() {
  flag.store(false);
}

}  // namespace dlm
