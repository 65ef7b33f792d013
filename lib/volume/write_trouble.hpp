// write_trouble.hpp - remembers that the operating system refused to write to a disk, for whoever asks how the disk is.
// Level 2 (volume). Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include <tarn/result.hpp>

namespace tarn::volume {

class WriteTrouble {
 public:
  /// Notes a failure that speaks of the disk itself (io; denied: it became read-only), and hands the outcome on. No space is
  /// not one of them: it passes when something is removed.
  template <class T>
  [[nodiscard]] Result<T> watch(Result<T> outcome) {
    if (!outcome && (outcome.error().code == ErrorCode::io || outcome.error().code == ErrorCode::denied)) note(outcome.error().message);
    return outcome;
  }

  /// The same for a sync, whatever the reason: what it was for may be lost although it can still be read, and another one
  /// that works says nothing about it. So it is remembered until the disk is opened again.
  [[nodiscard]] Result<void> watch_sync(Result<void> outcome) {
    if (outcome) return outcome;
    note(outcome.error().message);
    const std::lock_guard lock(mutex_);
    if (!sync_failure_) sync_failure_ = outcome.error();
    return outcome;
  }
  /// @errors of the first sync that failed.
  [[nodiscard]] Result<void> syncs_work() const {
    const std::lock_guard lock(mutex_);
    if (!sync_failure_) return {};
    return fail(sync_failure_->code,
                sync_failure_->message +
                    "; the disk takes nothing more that must be on stable storage until the store is opened again: look at its health first");
  }

  /// The first failure since the disk was opened and how many there were; empty: none.
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    if (failures_ == 0) return {};
    return "writes failed " + std::to_string(failures_) + (failures_ == 1 ? " time" : " times") + " since the disk was opened, first: " + first_;
  }

 private:
  void note(const std::string& message) {
    const std::lock_guard lock(mutex_);
    if (failures_++ == 0) first_ = message;
  }
  mutable std::mutex mutex_;  // guards the rest
  std::uint64_t failures_ = 0;
  std::string first_;
  std::optional<Error> sync_failure_;
};

}  // namespace tarn::volume
