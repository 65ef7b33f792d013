// event.hpp - set once by one thread, waited for by another.
// Level 6 (mpi). Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace tarn::mpi {

using Clock = std::chrono::steady_clock;
/// Waits without a limit.
inline constexpr Clock::time_point kNoDeadline = Clock::time_point::max();

class Event {
 public:
  void set() {
    const std::lock_guard lock(mutex_);
    set_.store(true, std::memory_order_release);
    changed_.notify_all();
  }
  [[nodiscard]] bool is_set() const noexcept { return set_.load(std::memory_order_acquire); }
  /// @return whether it is set; false after the deadline.
  bool wait_until(Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    const auto ready = [this] { return set_.load(std::memory_order_relaxed); };
    if (deadline == kNoDeadline) {
      changed_.wait(lock, ready);
      return true;
    }
    return changed_.wait_until(lock, deadline, ready);
  }

 private:
  std::mutex mutex_;  // guards set_ against a lost wake-up
  std::condition_variable changed_;
  std::atomic<bool> set_{false};
};

}  // namespace tarn::mpi
