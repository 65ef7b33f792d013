// worker_pool.hpp - a few threads for what must not hold up the engine: disk reads, writes, listings.
// Level 6 (mpi). Any thread may submit; jobs never call MPI. What waits here is bounded by its submitters
// (PeerService counts the bytes of requests and replies).
//
// A job that is stuck, on a disk that does not answer, has its thread for itself; jobs that come after it get one of the others. When all
// are stuck, one more is made at each look (relieve()), up to `most`: so that many stuck jobs delay nobody else, and one more than that all.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <tarn/result.hpp>

#include "base/unique_function.hpp"

namespace tarn::mpi {

inline constexpr unsigned kDataThreads = 2;      ///< of a rank, for what its peers ask of its disks
inline constexpr unsigned kDataThreadsMax = 16;  ///< of them when all are stuck: of a long transfer each piece under way takes one

class WorkerPool {
 public:
  using Job = base::UniqueFunction<void()>;

  WorkerPool() = default;
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool() { stop(); }

  /// @param most  0: as many as `threads`. @errors io: no thread to be had.
  [[nodiscard]] Result<void> start(unsigned threads, unsigned most = 0);
  /// To be called now and then (a quarter of a second): one thread more when jobs wait and none has begun since the last call.
  void relieve() noexcept;
  void submit(Job job);
  /// Waits for the jobs that run; drops those that wait. Idempotent.
  void stop() noexcept;

 private:
  void run() noexcept;

  std::mutex mutex_;  // guards what follows; threads_ until stopping_ is set
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  bool held_up_ = false;  // nothing has begun since the last look, at which jobs waited
  std::size_t most_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace tarn::mpi
