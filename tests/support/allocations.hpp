// allocations.hpp - operator new of a test program (link allocations.cpp): fails when it is told to, and counts what is held.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tarn::tests {

/// While it lives, this thread's allocation number `good + 1` throws std::bad_alloc, once.
class FailingAllocation {
 public:
  explicit FailingAllocation(std::uint64_t good) noexcept;
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
  ~FailingAllocation();
  /// Whether it has thrown.
  [[nodiscard]] bool happened() const noexcept;
};

/// While one lives, this thread's allocations are neither counted by FailingAllocation nor fail.
class SparedAllocations {
 public:
  SparedAllocations() noexcept;
  SparedAllocations(const SparedAllocations&) = delete;
  SparedAllocations& operator=(const SparedAllocations&) = delete;
  ~SparedAllocations();
};

/// Bytes that the process holds by operator new.
[[nodiscard]] std::size_t allocated_bytes() noexcept;
/// The most it has held since reset_peak().
[[nodiscard]] std::size_t peak_bytes() noexcept;
void reset_peak() noexcept;

}  // namespace tarn::tests
