#include "mpi/worker_pool.hpp"

#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.hpp"

namespace tarn::mpi {

Result<void> WorkerPool::start(unsigned threads, unsigned most) {
  const std::lock_guard lock(mutex_);
  most_ = most;
  try {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::io, std::string("cannot start a worker thread: ") + error.what());
  }
  return {};
}

void WorkerPool::relieve() noexcept {
  const std::lock_guard lock(mutex_);
  if (held_up_ && !jobs_.empty() && !stopping_ && threads_.size() < most_) {
    try {
      threads_.emplace_back([this] { run(); });
    } catch (const std::exception&) {  // the next look tries again
      return;
    }
  }
  held_up_ = !jobs_.empty();
}

void WorkerPool::submit(Job job) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
}

void WorkerPool::stop() noexcept {
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(jobs_);
    changed_.notify_all();
  }
  for (auto& thread : threads_)
    if (thread.joinable()) thread.join();
  threads_.clear();
}

void WorkerPool::run() noexcept {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      held_up_ = false;
    }
    try {
      job();
    } catch (const std::exception& error) {  // the job's Responder answers its peer when it is destroyed
      base::log_error(std::string("a worker's job failed: ") + error.what());
    }
  }
}

}  // namespace tarn::mpi
