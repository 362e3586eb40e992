// A process that commits versions and manifests is killed, at every disk step and at random
// instants. The store must then read at its last committed version, and the next run must go on
// from there.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/adapter_versions.h"
#include "store/manifest.h"
#include "store_fixture.h"
#include "support/file_faults.h"
#include "support/hash.h"

namespace dlm {
namespace {

class Crash : public StoreTest {
 protected:
  // One training run in small: lock, clean, write a version, commit, record it.
  void run_once() {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    store_.ensure();
    remove_leftovers(store_, lock);
    Manifest manifest;
    if (store_.is_initialized()) {
      manifest = read_manifest(store_);
    } else {
      manifest.dlm_id = kTestId;
      manifest.base_model = "base";
      manifest.created_at = manifest.updated_at = format_utc(clock_.unix_seconds());
    }
    PendingVersion pending(store_, {}, lock);
    const std::string payload(20'000, static_cast<char>('a' + pending.number() % 26));
    write_file_atomic(pending.folder() / kTrainingStateFile, payload);
    write_file_atomic(pending.folder() / kTrainingStateHashFile, sha256_hex(payload) + "\n");
    const int64_t number = pending.number();
    pending.commit();
    TrainingRun run;
    run.run_id = manifest.next_run_id();
    run.started_at = manifest.updated_at;
    run.adapter_version = number;
    manifest.training_runs.push_back(run);
    manifest.adapter_version = number;
    write_manifest(store_, manifest, lock);
  }

  // Reads all that a reader would; returns the current version's number.
  int64_t check_store() {
    const int64_t current = current_version_number(store_);
    for (int64_t number : list_versions(store_)) {
      const fs::path version = store_.version(number);
      EXPECT_EQ(sha256_file_hex(version / kTrainingStateFile) + "\n",
                read_file(version / kTrainingStateHashFile));
    }
    if (store_.is_initialized()) {
      const Manifest manifest = read_manifest(store_);
      EXPECT_LE(manifest.adapter_version, current);
      EXPECT_EQ(manifest.training_runs.size(), static_cast<size_t>(manifest.next_run_id() - 1));
    }
    return current;
  }
};

TEST_F(Crash, AtEveryDiskStepLeavesTheLastCommittedVersion) {
  int64_t last = 0;
  int num_killed = 0;
  for (int fatal = 0;; ++fatal) {
    const pid_t child = ::fork();
    if (child == 0) {
      int count = 0;
      const ScopedFileFault killer([&](FileStep, const fs::path&) {
        if (count++ == fatal) ::raise(SIGKILL);
        return 0;
      });
      try {
        run_once();
      } catch (const std::exception&) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const int64_t current = check_store();
    EXPECT_GE(current, last);
    last = current;
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    ++num_killed;
    ASSERT_LT(num_killed, 1000);
  }
  EXPECT_GT(num_killed, 25);
  // Nothing of the killed runs is left after a whole one but complete versions.
  for (const auto& entry : fs::recursive_directory_iterator(store_.root())) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(name.find(".tmp."), name.npos) << name;
    EXPECT_FALSE(name.starts_with(".pending")) << name;
  }
}

TEST_F(Crash, AtRandomInstantsLeavesTheLastCommittedVersion) {
  const int64_t before = system_clock().monotonic_ns();
  run_once();
  const int64_t run_us = (system_clock().monotonic_ns() - before) / 1000 + 1;
  int64_t last = 1;
  uint64_t random = 12345;
  for (int round = 0; round < 50; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        while (true) run_once();
      } catch (const std::exception&) {
        ::_exit(1);
      }
    }
    // Instants from 0 to the time of three runs, so that most rounds also commit on slow disks.
    random = random * 6364136223846793005u + 1442695040888963407u;
    const auto delay_us = static_cast<int64_t>((random >> 33) % static_cast<uint64_t>(3 * run_us));
    ::usleep(static_cast<useconds_t>(delay_us));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself, with an error";
    const int64_t current = check_store();
    EXPECT_GE(current, last);
    last = current;
  }
  EXPECT_GT(last, 5);
  run_once();
  EXPECT_GT(check_store(), last);
}

}  // namespace
}  // namespace dlm
