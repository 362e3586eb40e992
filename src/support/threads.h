// A fixed set of worker threads for data-parallel loops. Which worker runs which task is left to
// chance, so a task's result may depend on its number only; that is what keeps every result the
// same at any thread count.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace dlm {

// Cores that this process may use (its affinity mask), at least 1.
int usable_cores();

// The number of threads to use: `requested` when positive, else $DLM_THREADS, else usable_cores().
// Throws Error(kUsage) when $DLM_THREADS is not a number from 1 to 1024.
int choose_num_threads(int requested);

class ThreadPool {
 public:
  // Runs once on each worker, the caller's thread included, before its first task.
  using WorkerInit = std::function<void()>;

  explicit ThreadPool(int num_threads, WorkerInit init = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const;

  // Calls body(task, worker) for each task in [0, num_tasks), worker in [0, num_threads), in any
  // order; a worker mostly does neighbouring tasks. Returns when all are done; rethrows the
  // exception of the lowest-numbered task that threw. Not reentrant: one caller at a time.
  void run(int64_t num_tasks, const std::function<void(int64_t task, int worker)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dlm
