#include "support/threads.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/error.h"

namespace dlm {

namespace {

// A waiting thread spins this long before it sleeps: waking costs 36-56 us, and pure spinning
// collapses when a neighbour takes the core.
constexpr auto kSpin = std::chrono::microseconds(50);

bool spin_until(const std::function<bool()>& ready) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

int choose_num_threads(int requested) {
  if (requested > 0) return requested;
  const char* text = std::getenv("DLM_THREADS");
  if (text == nullptr || *text == '\0') return usable_cores();
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 1 || value > 1024) {
    throw Error(ErrorKind::kUsage, "DLM_THREADS is \"" + std::string(text) + "\"",
                "set it to a number from 1 to 1024, or unset it to use all cores");
  }
  return static_cast<int>(value);
}

struct ThreadPool::State {
  int num_threads = 1;
  WorkerInit init;
  std::vector<std::thread> threads;

  std::mutex mutex;
  std::condition_variable wake_workers;
  std::condition_variable wake_caller;
  std::atomic<bool> stopping{false};
  // Who has given up spinning. One side writes its news and then reads these, the other writes these
  // and then reads the news, all in one total order, so that one of both sees the other. Without
  // sleepers the mutex stays untouched: handing out work costs a microsecond less, twice.
  std::atomic<int> sleeping_workers{0};
  std::atomic<bool> caller_sleeps{false};
  bool caller_ready = false;

  // The number of the run, and below it how many of its tasks nobody took yet. Who counts one down
  // has it, and knows that the rest here is of the same run: a run ends when all its tasks were done,
  // whoever did them. So nobody waits for a worker that sleeps, or that the system does not let run,
  // unless it is in the middle of a task.
  alignas(64) std::atomic<uint64_t> open{0};
  alignas(64) std::atomic<int64_t> num_done{0};
  const std::function<void(int64_t, int)>* body = nullptr;
  int64_t num_tasks = 0;
  std::exception_ptr failure;
  int64_t failed_task = 0;

  static constexpr uint64_t kOneRun = uint64_t{1} << 32;
  static int64_t num_open(uint64_t open) { return static_cast<int64_t>(open % kOneRun); }

  void do_task(int64_t task, int worker) {
    try {
      (*body)(task, worker);
    } catch (...) {
      const std::lock_guard<std::mutex> hold(mutex);
      if (!failure || task < failed_task) {
        failure = std::current_exception();
        failed_task = task;
      }
    }
  }

  // Does tasks until none is open.
  void work(int worker) {
    uint64_t now = open.load();
    while (num_open(now) > 0) {
      if (!open.compare_exchange_weak(now, now - 1)) continue;
      const int64_t all = num_tasks;
      do_task(all - num_open(now), worker);
      if (num_done.fetch_add(1) + 1 == all && caller_sleeps.load()) {
        const std::lock_guard<std::mutex> hold(mutex);
        wake_caller.notify_one();
      }
      now = open.load();
    }
  }

  void worker_loop(int worker) {
    if (init) init();
    const auto ready = [&] { return num_open(open.load()) > 0 || stopping.load(); };
    for (;;) {
      if (!spin_until(ready)) {
        std::unique_lock<std::mutex> hold(mutex);
        sleeping_workers.fetch_add(1);
        wake_workers.wait(hold, ready);
        sleeping_workers.fetch_sub(1);
      }
      if (stopping.load()) return;
      work(worker);
    }
  }
};

ThreadPool::ThreadPool(int num_threads, WorkerInit init) : state_(std::make_unique<State>()) {
  state_->num_threads = std::max(1, num_threads);
  state_->init = std::move(init);
  for (int worker = 1; worker < state_->num_threads; ++worker) {
    state_->threads.emplace_back([state = state_.get(), worker] { state->worker_loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> hold(state_->mutex);
    state_->stopping = true;
  }
  state_->wake_workers.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

int ThreadPool::num_threads() const { return state_->num_threads; }

void ThreadPool::run(int64_t num_tasks, const std::function<void(int64_t, int)>& body) {
  State& s = *state_;
  if (num_tasks <= 0) return;
  check(num_tasks < static_cast<int64_t>(State::kOneRun), "a loop of 2^32 tasks");
  if (!s.caller_ready) {
    if (s.init) s.init();
    s.caller_ready = true;
  }
  s.body = &body;
  s.num_tasks = num_tasks;
  s.failure = nullptr;
  if (s.num_threads == 1 || num_tasks == 1) {
    for (int64_t task = 0; task < num_tasks; ++task) s.do_task(task, 0);
  } else {
    s.num_done.store(0);
    const uint64_t run = s.open.load() / State::kOneRun + 1;
    s.open.store(run * State::kOneRun + static_cast<uint64_t>(num_tasks));
    if (s.sleeping_workers.load() > 0) {
      const std::lock_guard<std::mutex> hold(s.mutex);
      s.wake_workers.notify_all();
    }
    s.work(0);
    const auto done = [&] { return s.num_done.load() == num_tasks; };
    if (!spin_until(done)) {
      std::unique_lock<std::mutex> hold(s.mutex);
      s.caller_sleeps.store(true);
      s.wake_caller.wait(hold, done);
      s.caller_sleeps.store(false);
    }
  }
  s.body = nullptr;
  if (s.failure) std::rethrow_exception(s.failure);
}

}  // namespace dlm
