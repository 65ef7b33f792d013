// blocking_pool.hpp - threads for calls that wait: on other ranks, on writes to a busy disk.
// Level 5 (http). Any thread may call anything; stop() once.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_function.hpp"

namespace tarn::http {

class BlockingPool {
 public:
  BlockingPool(std::size_t threads_max, std::size_t queue_max);
  ~BlockingPool();  ///< as stop()
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Runs the job on some thread of the pool; threads are started when there is work for them.
  /// @return false: the queue is full, or the pool has stopped, and `job` is as it was.
  [[nodiscard]] bool try_post(base::UniqueFunction<void()>& job);
  /// The same without a bound: for the next step of a transfer that has been admitted.
  [[nodiscard]] bool post(base::UniqueFunction<void()>& job);
  /// Runs what is queued, then joins.
  void stop();

 private:
  bool enqueue(base::UniqueFunction<void()>& job, std::size_t queue_max);
  void run();

  const std::size_t threads_max_;
  const std::size_t queue_max_;
  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  std::deque<base::UniqueFunction<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopped_ = false;
};

}  // namespace tarn::http
