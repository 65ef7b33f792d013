// group_sync.hpp - one sync for all writers that wait at the time.
// Level 2 (volume). Any thread.
//
//   writer: write -> note() -> wait(ticket): --nobody syncs--> leads: syncs for every ticket that was given by now
//                                            --somebody does-> waits; what it began before this ticket does not count: leads or waits again
//
// A sync that fails is not tried again: the system may have dropped the pages that it could not write, and would then
// call the next one a success. Every ticket that was not covered before fails, now and later. One that was never begun (busy: no
// descriptor was to be had) fails for its leader only; the next who waits tries it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include <tarn/result.hpp>

namespace tarn::volume {

class GroupSync {
 public:
  explicit GroupSync(std::function<Result<void>()> sync) : sync_(std::move(sync)) {}

  /// To be called when the write has returned. @return its ticket.
  [[nodiscard]] std::uint64_t note() noexcept { return given_.fetch_add(1) + 1; }
  /// Blocks until a sync that began after the ticket was given has returned. @errors those of the sync.
  [[nodiscard]] Result<void> wait(std::uint64_t ticket);

 private:
  const std::function<Result<void>()> sync_;
  std::atomic<std::uint64_t> given_{0};
  std::mutex mutex_;  // guards the rest
  std::condition_variable done_;
  std::uint64_t synced_ = 0;  // tickets up to this one are on stable storage
  bool running_ = false;
  bool failed_ = false;
  std::optional<Error> failure_;  // its reason, when there was memory for it
};

}  // namespace tarn::volume
