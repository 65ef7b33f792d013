// change_counter.hpp - counts changes of what disks hold, so that others can tell whether what they know of them is still so.
// Level 2 (volume). Any thread, and other processes: it may lie in memory that they share.
//
//   a change:  begun + 1 --> found by readers --> visible + 1 --> acknowledged
//   a reader:  begun = visible = n, then a look at the disk: what it saw holds as long as begun is n
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace tarn::volume {

struct ChangeCounter {
  std::atomic<std::uint64_t> begun{0};
  std::atomic<std::uint64_t> visible{0};  ///< or given up

  /// @return nullopt: a change is under way. Otherwise holds() of it says whether none has begun since.
  [[nodiscard]] std::optional<std::uint64_t> moment() const noexcept {
    const std::uint64_t done = visible.load();  // first: what begins in between makes the two differ
    if (begun.load() != done) return std::nullopt;
    return done;
  }
  [[nodiscard]] bool holds(std::uint64_t moment) const noexcept { return begun.load() == moment; }
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "processes share it");

}  // namespace tarn::volume
