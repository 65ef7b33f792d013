// dsort_phase.hpp - one long step of dsort: workers on each rank, progress and failures shared as they happen.
// Level 6 (mpi). The calling thread makes the collective calls, the workers do the work.
//
//   every rank:  workers take items 0, 1, 2, ...        calling thread: every 100 ms, or when its items are done:
//                until none is left or stop() is true     all_reduce {units done, ranks finished, ranks failed}
//   a rank that fails makes all others stop at the next tick; so does the job's abort flag.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include <tarn/result.hpp>

#include "mpi/dsort_job.hpp"

namespace tarn::mpi {

class PhaseControl {
 public:
  /// Counts work that is done, in the units of the phase's total. Any worker.
  void add(std::uint64_t units) noexcept { done_.fetch_add(units, std::memory_order_relaxed); }
  /// Somebody failed or wants to stop: return from the item at the next occasion, with any result.
  [[nodiscard]] bool stopped() const noexcept { return stop_.load(std::memory_order_relaxed); }

  void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t done() const noexcept { return done_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> stop_{false};
};

/// Does one item. Called by several threads at once, each item once, `worker` < job.threads.
using PhaseItemFn = std::function<Result<void>(std::size_t item, std::size_t worker, PhaseControl& control)>;

/// Collective. @param units  of this rank; the total is the sum over ranks.
/// @return the same on every rank: success, or the error of the lowest rank that failed.
[[nodiscard]] Result<void> run_phase(DsortJob& job, std::string_view name, std::uint64_t units, std::size_t items, const PhaseItemFn& item);

}  // namespace tarn::mpi
