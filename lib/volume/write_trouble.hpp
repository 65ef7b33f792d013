// write_trouble.hpp - remembers that the operating system refused to write to a disk, for whoever asks how the disk is.
// Level 2 (volume). Any thread.
#pragma once

#include <cstdint>
#include <mutex>
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
};

}  // namespace tarn::volume
