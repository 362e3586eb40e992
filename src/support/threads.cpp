#include "support/threads.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
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
  // The system refuses a set with less room than it has processors.
  for (int room = CPU_SETSIZE; room <= CPU_SETSIZE << 10; room *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(static_cast<size_t>(room)),
                                                               [](cpu_set_t* s) { CPU_FREE(s); });
    if (set == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(static_cast<size_t>(room));
    CPU_ZERO_S(size, set.get());
    if (sched_getaffinity(0, size, set.get()) == 0) {
      return std::max(1, CPU_COUNT_S(size, set.get()));
    }
    if (errno != EINVAL) break;
  }
  return 1;
}

int choose_num_threads(int requested) {
  if (requested > 0) return requested;
  const char* text = std::getenv("DLM_THREADS");
  if (text == nullptr || *text == '\0') return usable_cores();
  const char* const end = text + std::strlen(text);
  int value = 0;
  const auto [rest, fault] = std::from_chars(text, end, value);
  if (fault != std::errc() || rest != end || value < 1 || value > 1024) {
    throw Error(ErrorKind::kUsage, "DLM_THREADS is \"" + std::string(text) + "\"",
                "set it to a number from 1 to 1024, or unset it to use all cores");
  }
  return value;
}

struct ThreadPool::State {
  int num_threads = 1;
  WorkerInit init;
  std::vector<std::thread> threads;

  std::mutex mutex;
  std::condition_variable wake_workers;
  std::condition_variable wake_caller;
  std::atomic<bool> stopping{false};
  // Who has given up spinning. One side writes its news and then reads these, the other writes
  // these and then reads the news, all in one total order, so that one of both sees the other.
  // Without sleepers the mutex stays untouched: handing out work costs a microsecond less, twice.
  std::atomic<int> sleeping_workers{0};
  std::atomic<bool> caller_sleeps{false};
  bool caller_ready = false;

  // The tasks of a run are cut into one stretch for each worker. It takes its own from the front,
  // so that what neighbouring tasks read streams past one core, and when they are gone others' from
  // the back. `next` and `end` of a stretch lie in one word; whoever moves one of them has that
  // task. A run ends when all its tasks were done, whoever did them. So nobody waits for a worker
  // that sleeps, or that the system does not let run, unless it is in the middle of a task.
  struct alignas(64) Stretch {
    std::atomic<uint64_t> tasks{0};
  };
  std::vector<Stretch> stretches;
  alignas(64) std::atomic<uint64_t> num_runs{0};
  alignas(64) std::atomic<int64_t> num_done{0};
  // Written before the stretches are, and read by who has a task of theirs.
  const std::function<void(int64_t, int)>* body = nullptr;
  int64_t num_tasks = 0;
  std::exception_ptr failure;
  int64_t failed_task = 0;

  static constexpr uint64_t kOneNext = uint64_t{1} << 32;
  static uint64_t stretch_of(uint64_t next, uint64_t end) { return next * kOneNext + end; }

  // A task of a stretch, from its front or its back; -1: none is left.
  static int64_t take(Stretch& stretch, bool from_front) {
    uint64_t now = stretch.tasks.load();
    for (;;) {
      const uint64_t next = now / kOneNext, end = now % kOneNext;
      if (next >= end) return -1;
      if (stretch.tasks.compare_exchange_weak(now, from_front ? now + kOneNext : now - 1)) {
        return static_cast<int64_t>(from_front ? next : end - 1);
      }
    }
  }

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

  // Does tasks until none is left. How many is told at the end: a count that the cores hand to and
  // fro after every task costs more than short tasks do.
  void work(int worker) {
    int64_t done = 0;
    for (int i = 0; i < num_threads; ++i) {
      Stretch& stretch = stretches[static_cast<size_t>((worker + i) % num_threads)];
      for (int64_t task = take(stretch, i == 0); task >= 0; task = take(stretch, i == 0)) {
        do_task(task, worker);
        ++done;
      }
    }
    if (done == 0) return;
    const int64_t all = num_tasks;  // of the run that cannot end before the next line
    if (num_done.fetch_add(done) + done < all || !caller_sleeps.load()) return;
    const std::lock_guard<std::mutex> hold(mutex);
    wake_caller.notify_one();
  }

  void worker_loop(int worker) {
    if (init) init();
    for (uint64_t seen = 0;;) {
      const auto ready = [&] { return num_runs.load() != seen || stopping.load(); };
      if (!spin_until(ready)) {
        std::unique_lock<std::mutex> hold(mutex);
        sleeping_workers.fetch_add(1);
        wake_workers.wait(hold, ready);
        sleeping_workers.fetch_sub(1);
      }
      if (stopping.load()) return;
      seen = num_runs.load();
      work(worker);
    }
  }
};

ThreadPool::ThreadPool(int num_threads, WorkerInit init) : state_(std::make_unique<State>()) {
  state_->num_threads = std::max(1, num_threads);
  state_->init = std::move(init);
  state_->stretches = std::vector<State::Stretch>(static_cast<size_t>(state_->num_threads));
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

int ThreadPool::num_threads() const {
  return state_->num_threads;
}

void ThreadPool::run(int64_t num_tasks, const std::function<void(int64_t, int)>& body) {
  State& s = *state_;
  if (num_tasks <= 0) return;
  check(num_tasks < static_cast<int64_t>(State::kOneNext), "a loop of 2^32 tasks");
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
    const auto workers = static_cast<uint64_t>(s.num_threads);
    for (uint64_t w = 0; w < workers; ++w) {
      const auto all = static_cast<uint64_t>(num_tasks);
      s.stretches[w].tasks.store(State::stretch_of(all * w / workers, all * (w + 1) / workers),
                                 std::memory_order_release);
    }
    s.num_runs.fetch_add(1);
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
