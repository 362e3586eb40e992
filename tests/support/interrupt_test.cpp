// Signals become a flag; the second one ends the process.
#include "support/interrupt.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/error.h"

namespace dlm {
namespace {

TEST(Interrupt, ThrowsOnlyAfterASignal) {
  clear_interrupt();
  EXPECT_NO_THROW(check_interrupted());
  raise_interrupt();
  try {
    check_interrupted();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInterrupted);
    EXPECT_STREQ(error.what(), "interrupted");
  }
  clear_interrupt();
}

TEST(Interrupt, TheFirstSignalIsNotedAndTheSecondKills) {
  const pid_t child = ::fork();
  if (child == 0) {
    install_interrupt_handlers();
    ::raise(SIGINT);
    if (!is_interrupted()) ::_exit(2);
    ::raise(SIGINT);
    ::_exit(3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

}  // namespace
}  // namespace dlm
