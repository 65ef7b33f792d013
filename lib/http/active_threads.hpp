// active_threads.hpp - how many I/O threads get connections: as few as do the work.
// Level 5 (http). Pure decisions; one thread.
//
// A thread that is busy answers many requests each time it wakes up, and costs the application no more cores than it
// needs; two half idle threads wake up for every request, and where cores are short they take them from the client.
// So connections stay together until their threads are at their limit. Then one thread more is tried, and kept if the
// work done has grown; if it has not (no core is free, or the client is the limit), the next trial comes later and later.
// In the same way a thread less is tried when the work might fit into fewer.
#pragma once

#include <algorithm>
#include <utility>

namespace tarn::http {

class ActiveThreads {
 public:
  explicit ActiveThreads(unsigned threads) noexcept : most_(threads) {}

  [[nodiscard]] unsigned count() const noexcept { return active_; }

  /// Once per period, whose length stays the same.
  /// @param cpu   cores that the active threads used, 0 .. count().
  /// @param work  what they did, in any unit that stays the same.
  /// @return the new count().
  unsigned update(double cpu, double work) noexcept {
    if (settle_ > 0) {  // connections were on the move
      --settle_;
    } else if (trial_ != 0) {
      judge(work);
    } else {
      consider(cpu, std::max(work, previous_));
    }
    if (cpu < kQuiet && ++quiet_ % kForget == 0) pause_ = std::max(1U, pause_ / 2);  // other times, other clients
    previous_ = work;
    return active_;
  }

 private:
  static constexpr double kBusy = 0.85, kSpare = 0.6, kFits = 1.1, kQuiet = 0.3;  // of a core
  static constexpr double kGain = 1.1, kLoss = 0.97;                              // what a thread more must bring, and one less may cost
  static constexpr unsigned kPauseFactor = 4, kPauseMax = 1024;                   // periods between trials that brought nothing
  static constexpr unsigned kForget = 100;                                        // quiet periods after which half of a pause is forgotten

  void consider(double cpu, double work) noexcept {
    const double threads = active_;
    if (cpu < kSpare * (threads - 1)) {
      change(-1);
    } else if (wait_ > 0) {
      --wait_;
    } else if (active_ < most_ && cpu > kBusy * threads) {
      begin_trial(+1, work);
    } else if (active_ > 1 && cpu < kFits * (threads - 1)) {
      begin_trial(-1, work);
    }
  }
  void begin_trial(int direction, double work) noexcept {
    trial_ = direction;
    work_before_ = work;
    change(direction);
  }
  void judge(double work) noexcept {
    const int direction = std::exchange(trial_, 0);
    if (work >= (direction > 0 ? kGain : kLoss) * work_before_) return;
    change(-direction);
    pause_ = std::min(kPauseFactor * pause_, kPauseMax);
    wait_ = pause_;
  }
  void change(int by) noexcept {
    active_ = static_cast<unsigned>(static_cast<int>(active_) + by);
    settle_ = 1;
  }

  const unsigned most_;
  unsigned active_ = 1;
  unsigned settle_ = 0, wait_ = 0, pause_ = 1, quiet_ = 0;
  int trial_ = 0;  // +1, -1: of a thread more or less
  double previous_ = 0, work_before_ = 0;
};

}  // namespace tarn::http
