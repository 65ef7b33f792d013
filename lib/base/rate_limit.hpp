// rate_limit.hpp - makes background work wait, so that it moves no more than so many bytes a second.
// Level 1 (base). Any thread; together they keep the one rate.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

namespace tarn::base {

class RateLimit {
 public:
  /// @param bytes_per_s  0: no limit.
  explicit RateLimit(std::uint64_t bytes_per_s) noexcept : bytes_per_s_(bytes_per_s) {}

  /// Blocks until these bytes may follow those that were taken before. What was not used is not saved up.
  void take(std::uint64_t bytes) {
    if (bytes_per_s_ == 0) return;
    Clock::time_point mine;
    {
      const std::lock_guard lock(mutex_);
      mine = std::max(next_, Clock::now());
      const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_s_);
      next_ = mine + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    }
    std::this_thread::sleep_until(mine);
  }

 private:
  using Clock = std::chrono::steady_clock;
  const std::uint64_t bytes_per_s_;
  std::mutex mutex_;          // guards next_
  Clock::time_point next_{};  // when the next bytes may go
};

}  // namespace tarn::base
