// worker_pool.hpp - a few threads for what must not hold up the engine: disk reads, writes, listings.
// Level 6 (mpi). Any thread may submit; jobs never call MPI. What waits here is bounded by its submitters
// (PeerService counts the bytes of requests and replies).
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <tarn/result.hpp>

#include "base/unique_function.hpp"

namespace tarn::mpi {

class WorkerPool {
 public:
  using Job = base::UniqueFunction<void()>;

  WorkerPool() = default;
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool() { stop(); }

  /// @errors io: no thread to be had.
  [[nodiscard]] Result<void> start(unsigned threads);
  void submit(Job job);
  /// Waits for the jobs that run; drops those that wait. Idempotent.
  void stop() noexcept;

 private:
  void run() noexcept;

  std::mutex mutex_;  // guards jobs_ and stopping_
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tarn::mpi
