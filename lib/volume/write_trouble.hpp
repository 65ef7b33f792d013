// write_trouble.hpp - remembers that the operating system refused to write to a disk, for whoever asks how the disk is.
// Level 2 (volume). Any thread.
//
//   fine --a write fails (io, denied)--> suspect --a write works kSuspectTime or more after the last that failed--> fine
//   fine, suspect --a sync fails--> suspect until the disk is opened again
// A disk that nobody writes to stays suspect: nothing shows that it works.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <tarn/result.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace tarn::volume {

class WriteTrouble {
 public:
  using Clock = std::chrono::steady_clock;
  /// @param on_failed_sync  called once, by the thread whose sync is the first to fail; must not throw.
  explicit WriteTrouble(std::function<void()> on_failed_sync = {}, std::function<Clock::time_point()> now = Clock::now)
      : on_failed_sync_(std::move(on_failed_sync)), now_(std::move(now)) {}

  /// Notes a failure that speaks of the disk itself (io; denied: it became read-only), and hands the outcome on. No space is
  /// not one of them: it passes when something is removed.
  template <class T>
  [[nodiscard]] Result<T> watch(Result<T> outcome) {
    if (outcome) {
      if (suspect_.load(std::memory_order_relaxed)) note_success();
    } else if (outcome.error().code == ErrorCode::io || outcome.error().code == ErrorCode::denied) {
      note(outcome.error().message);
    }
    return outcome;
  }

  /// Runs a sync and remembers that it failed, whatever the reason (it threw: also): what it was for may be lost although it
  /// can still be read, and another one that works says nothing about it. So that stays until the disk is opened again.
  /// Only busy is no failure: there was no descriptor for it (EMFILE, ENFILE), so nothing was tried and nothing is lost.
  template <class Sync>
  [[nodiscard]] Result<void> watch_sync(Sync&& sync) {
    Result<void> outcome;
    try {
      outcome = std::forward<Sync>(sync)();
    } catch (...) {
      note_failed_sync(nullptr);
      throw;
    }
    if (!outcome && outcome.error().code != ErrorCode::busy) note_failed_sync(&outcome.error());
    return outcome;
  }
  /// @errors of the first sync that failed.
  [[nodiscard]] Result<void> syncs_work() const {
    const std::lock_guard lock(mutex_);
    if (!sync_failed_) return {};
    constexpr const char* kRemedy =
        "; the disk takes nothing more that must be on stable storage until the store is opened again: look at its health first";
    if (!sync_failure_) return fail(ErrorCode::io, std::string("a sync of the disk failed") + kRemedy);
    return fail(sync_failure_->code, sync_failure_->message + kRemedy);
  }

  /// How many writes have failed since the disk became suspect, when that was and why, and what ends it; empty: it is not.
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    if (failures_ == 0) return {};
    return "writes failed " + std::to_string(failures_) + (failures_ == 1 ? " time" : " times") + " since " + base::format_iso_time(since_ns_) +
           ", first: " + first_ + "; the disk is suspect " +
           (sync_failed_ ? "until the store is opened again"
                         : "until one works " + std::to_string(limits::kSuspectTime.count()) + " s or more after the last that failed");
  }

 private:
  void note(const std::string& message) {
    const std::lock_guard lock(mutex_);
    last_ = now_();
    suspect_ = true;
    if (failures_++ > 0) return;
    first_ = message;
    since_ns_ = base::now_ns();
  }
  void note_success() {
    const std::lock_guard lock(mutex_);
    if (sync_failed_ || now_() - last_ < limits::kSuspectTime) return;
    failures_ = 0;
    suspect_ = false;
  }
  /// The fact first: there may be no memory for its text.
  void note_failed_sync(const Error* error) {
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = !std::exchange(sync_failed_, true);
    }
    if (first && on_failed_sync_) on_failed_sync_();
    if (error == nullptr) return;
    note(error->message);
    const std::lock_guard lock(mutex_);
    if (!sync_failure_) sync_failure_ = *error;
  }
  const std::function<void()> on_failed_sync_;
  const std::function<Clock::time_point()> now_;
  std::atomic<bool> suspect_{false};  // failures_ > 0
  mutable std::mutex mutex_;          // guards the rest
  std::uint64_t failures_ = 0;
  std::string first_;
  std::int64_t since_ns_ = 0;  // of the first, for people
  Clock::time_point last_;
  bool sync_failed_ = false;
  std::optional<Error> sync_failure_;  // the first one's, when there was memory for it
};

}  // namespace tarn::volume
