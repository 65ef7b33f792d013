// write_trouble.hpp - remembers that the operating system refused to write to a disk, for whoever asks how the disk is.
// Level 2 (volume). Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <tarn/result.hpp>

namespace tarn::volume {

class WriteTrouble {
 public:
  /// @param on_failed_sync  called once, by the thread whose sync is the first to fail; must not throw.
  explicit WriteTrouble(std::function<void()> on_failed_sync = {}) : on_failed_sync_(std::move(on_failed_sync)) {}

  /// Notes a failure that speaks of the disk itself (io; denied: it became read-only), and hands the outcome on. No space is
  /// not one of them: it passes when something is removed.
  template <class T>
  [[nodiscard]] Result<T> watch(Result<T> outcome) {
    if (!outcome && (outcome.error().code == ErrorCode::io || outcome.error().code == ErrorCode::denied)) note(outcome.error().message);
    return outcome;
  }

  /// Runs a sync and remembers that it failed, whatever the reason (it threw: also): what it was for may be lost although it
  /// can still be read, and another one that works says nothing about it. So that stays until the disk is opened again.
  template <class Sync>
  [[nodiscard]] Result<void> watch_sync(Sync&& sync) {
    Result<void> outcome;
    try {
      outcome = std::forward<Sync>(sync)();
    } catch (...) {
      note_failed_sync(nullptr);
      throw;
    }
    if (!outcome) note_failed_sync(&outcome.error());
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
  mutable std::mutex mutex_;  // guards the rest
  std::uint64_t failures_ = 0;
  std::string first_;
  bool sync_failed_ = false;
  std::optional<Error> sync_failure_;  // the first one's, when there was memory for it
};

}  // namespace tarn::volume
