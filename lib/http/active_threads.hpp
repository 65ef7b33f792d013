// active_threads.hpp - how many I/O threads get connections: as few as do the work.
// Level 5 (http). Pure decisions; one thread.
//
// A thread that is busy answers many requests each time it wakes up, and costs the application no more cores than it
// needs; two half idle threads wake up for every request, and where cores are short they take them from the client.
// So connections stay together until their threads are at their limit. Then one thread more is tried, and kept if the
// work done has grown; if it has not (no core is free, or the client is the limit), the next trial comes later and later.
#pragma once

#include <algorithm>

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
    } else if (trial_) {
      judge(work);
    } else {
      if (wait_ > 0) --wait_;
      const double threads = active_;
      if (active_ < most_ && cpu > kBusy * threads && wait_ == 0) {
        work_before_ = std::max(work, previous_);
        trial_ = true;
        change(active_ + 1);
      } else if (active_ > 1 && cpu < kSpare * (threads - 1)) {
        change(active_ - 1);
      }
    }
    if (cpu < kQuiet && ++quiet_ % kForget == 0) pause_ = std::max(1U, pause_ / 2);  // other times, other clients
    previous_ = work;
    return active_;
  }

 private:
  static constexpr double kBusy = 0.85, kSpare = 0.6, kQuiet = 0.3;  // of a core
  static constexpr double kGain = 1.1;                               // that a thread more must bring
  static constexpr unsigned kPauseFactor = 4, kPauseMax = 1024;      // periods between trials that brought nothing
  static constexpr unsigned kForget = 100;                           // quiet periods after which half of a pause is forgotten

  void judge(double work) noexcept {
    trial_ = false;
    if (work >= kGain * work_before_) {
      pause_ = 1;
      return;
    }
    change(active_ - 1);
    pause_ = std::min(kPauseFactor * pause_, kPauseMax);
    wait_ = pause_;
  }
  void change(unsigned active) noexcept {
    active_ = active;
    settle_ = 1;
  }

  const unsigned most_;
  unsigned active_ = 1;
  unsigned settle_ = 0, wait_ = 0, pause_ = 1, quiet_ = 0;
  bool trial_ = false;
  double previous_ = 0, work_before_ = 0;
};

}  // namespace tarn::http
