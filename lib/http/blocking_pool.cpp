#include "http/blocking_pool.hpp"

#include <cstdint>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.hpp"

namespace tarn::http {

BlockingPool::BlockingPool(std::size_t threads_max, std::size_t queue_max) : threads_max_(threads_max), queue_max_(queue_max) {}

BlockingPool::~BlockingPool() {
  stop();
}

bool BlockingPool::try_post(base::UniqueFunction<void()>& job) {
  return enqueue(job, queue_max_);
}

bool BlockingPool::post(base::UniqueFunction<void()>& job) {
  return enqueue(job, SIZE_MAX);
}

bool BlockingPool::enqueue(base::UniqueFunction<void()>& job, std::size_t queue_max) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || jobs_.size() >= queue_max) return false;
  if (idle_ <= jobs_.size() && threads_.size() < threads_max_) {
    try {
      threads_.emplace_back([this] { run(); });
    } catch (const std::system_error& error) {
      base::log_warn(std::string("sidecar: no further thread: ") + error.what());
      if (threads_.empty()) return false;
    }
  }
  jobs_.push_back(std::move(job));
  work_.notify_one();
  return true;
}

void BlockingPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    work_.wait(lock, [&] { return stopped_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    try {
      job();
      job = {};
    } catch (const std::exception& error) {  // jobs report their own errors: this is a bug
      base::log_error(std::string("sidecar: a job threw: ") + error.what());
    }
    lock.lock();
  }
}

void BlockingPool::stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
    work_.notify_all();
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace tarn::http
