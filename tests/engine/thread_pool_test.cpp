// The workers: every task once, failures handed on, the same answers for any number of threads.
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "support/error.h"
#include "support/threads.h"

namespace dlm {
namespace {

TEST(ThreadPool, RunsEachTaskOnce) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<int>> runs(1000);
    pool.run(1000, [&](int64_t task, int worker) {
      ++runs[static_cast<size_t>(task)];
      EXPECT_GE(worker, 0);
      EXPECT_LT(worker, threads);
    });
    for (const auto& count : runs) EXPECT_EQ(count, 1);
  }
}

TEST(ThreadPool, NoTasksMeanNoCalls) {
  ThreadPool pool(4);
  pool.run(0, [](int64_t, int) { FAIL() << "called"; });
  pool.run(-3, [](int64_t, int) { FAIL() << "called"; });
}

TEST(ThreadPool, OneTaskRunsOnTheCaller) {
  ThreadPool pool(4);
  int on = -1;
  pool.run(1, [&](int64_t, int worker) { on = worker; });
  EXPECT_EQ(on, 0);
}

TEST(ThreadPool, RethrowsTheLowestNumberedFailure) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    try {
      pool.run(100, [](int64_t task, int) {
        if (task % 10 == 7) throw std::runtime_error("task " + std::to_string(task));
      });
      FAIL() << "no exception";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "task 7");
    }
  }
}

TEST(ThreadPool, WorksAgainAfterAFailure) {
  ThreadPool pool(4);
  EXPECT_THROW(pool.run(8, [](int64_t, int) { throw std::runtime_error("x"); }),
               std::runtime_error);
  std::atomic<int> runs = 0;
  pool.run(64, [&](int64_t, int) { ++runs; });
  EXPECT_EQ(runs, 64);
}

TEST(ThreadPool, SumsAreTheSameForOneAndFourThreads) {
  const auto total = [](int threads) {
    ThreadPool pool(threads);
    std::vector<double> parts(37);
    pool.run(37, [&](int64_t task, int) {
      for (int64_t i = 0; i < 1000; ++i) {
        parts[static_cast<size_t>(task)] += 1.0 / static_cast<double>(task * 1000 + i + 1);
      }
    });
    return std::accumulate(parts.begin(), parts.end(), 0.0);
  };
  EXPECT_EQ(total(1), total(4));
}

TEST(ThreadPool, ManyShortRunsLoseNoTask) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum = 0;
  for (int round = 0; round < 500; ++round) {
    pool.run(5, [&](int64_t task, int) { sum += task; });
  }
  EXPECT_EQ(sum, 500 * 10);
}

TEST(ThreadPool, RunsOfEveryLengthDoEachTaskOnce) {
  ThreadPool pool(4);
  for (int64_t round = 0; round < 1000; ++round) {
    const int64_t count = round % 41;
    std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
    pool.run(count, [&](int64_t task, int) { ++runs[static_cast<size_t>(task)]; });
    for (const std::atomic<int>& times : runs) ASSERT_EQ(times, 1) << count << " tasks";
  }
}

TEST(ThreadPool, OthersTakeWhatABusyWorkerHasLeft) {
  ThreadPool pool(2);
  std::atomic<int> others = 0;
  pool.run(16, [&](int64_t task, int) {
    if (task != 0) {
      ++others;
      return;
    }
    while (others < 15) std::this_thread::yield();
  });
  EXPECT_EQ(others, 15);
}

TEST(ThreadPool, InitialisesEachWorkerOnceTheCallerIncluded) {
  std::atomic<int> calls = 0;
  {
    ThreadPool pool(4, [&] { ++calls; });
    for (int i = 0; i < 3; ++i) pool.run(16, [](int64_t, int) {});
  }
  EXPECT_EQ(calls, 4);
}

// As when the system gives a worker no core.
TEST(ThreadPool, NobodyWaitsForAWorkerThatHasNoTask) {
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<bool> may_begin = false;
  ThreadPool pool(3, [&] {
    while (std::this_thread::get_id() != caller && !may_begin) std::this_thread::yield();
  });
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> runs = 0;
    pool.run(16, [&](int64_t, int worker) {
      EXPECT_EQ(worker, 0);
      ++runs;
    });
    EXPECT_EQ(runs, 16);
  }
  may_begin = true;
  std::atomic<int> runs = 0;
  pool.run(16, [&](int64_t, int) { ++runs; });
  EXPECT_EQ(runs, 16);
}

TEST(Threads, TheEnvironmentDecidesWhenNothingIsAskedFor) {
  ::setenv("DLM_THREADS", "3", 1);
  EXPECT_EQ(choose_num_threads(0), 3);
  EXPECT_EQ(choose_num_threads(2), 2);
  for (const char* wrong : {"0", "two", "4x", "1025", " 4", "+4"}) {
    ::setenv("DLM_THREADS", wrong, 1);
    try {
      choose_num_threads(0);
      ADD_FAILURE() << "accepted " << wrong;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUsage);
      EXPECT_EQ(e.message(), "DLM_THREADS is \"" + std::string(wrong) + "\"");
    }
  }
  ::unsetenv("DLM_THREADS");
  EXPECT_EQ(choose_num_threads(0), usable_cores());
}

}  // namespace
}  // namespace dlm
