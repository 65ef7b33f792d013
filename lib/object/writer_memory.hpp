// writer_memory.hpp - what all writers of one store hold in memory together; a writer that gets no more goes to its disk early.
// Level 3 (object). Any thread.
#pragma once

#include <atomic>
#include <cstddef>

#include "base/limits.hpp"

namespace tarn::object {

class WriterMemory {
 public:
  /// Of a store: open writers, those of other ranks and of HTTP clients included.
  static constexpr std::size_t kOpenBytesMax = 64 * limits::MiB;
  /// Part of it for bodies that are prepared and wait, maybe long, for their commit: dsort's small shards.
  static constexpr std::size_t kPreparedBytesMax = 16 * limits::MiB;
  /// What every writer may hold without asking.
  static constexpr std::size_t kFreeBytes = 16 * limits::KiB;

  /// @return false: there would be more than `limit_bytes`; nothing is taken then.
  [[nodiscard]] bool take(std::size_t size_bytes, std::size_t limit_bytes) noexcept {
    if (held_.fetch_add(size_bytes) + size_bytes <= limit_bytes) return true;
    held_.fetch_sub(size_bytes);
    return false;
  }
  void give_back(std::size_t size_bytes) noexcept { held_.fetch_sub(size_bytes); }
  [[nodiscard]] std::size_t held() const noexcept { return held_.load(); }

 private:
  std::atomic<std::size_t> held_{0};
};
static_assert(WriterMemory::kPreparedBytesMax < WriterMemory::kOpenBytesMax);
static_assert(WriterMemory::kFreeBytes < limits::kSoloObjectBytesMin);

}  // namespace tarn::object
