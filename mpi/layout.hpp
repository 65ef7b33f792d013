// layout.hpp - whether every object is where the store's disks say that it belongs, or must be looked for.
// Level 6 (mpi). Layout: any thread. The functions: steps of collective calls.
//
//   settled    the disks, and where there are mirrors their ranks and nodes, are those for which the last rebalance or repair has
//              put everything in its place (or the store is new): what is not at its holders is not there
//   unsettled  disks have come or gone: an object may lie where it belonged before
//   stale      unsettled, and a disk has come back that was away while others were written: it may hold old versions, so all
//              copies are compared
//
// Each disk remembers the epoch it was in last (volume::DiskLayout). A new set of disks is a new epoch; whoever has an older one was away.
#pragma once

#include <atomic>
#include <cstdint>

#include <tarn/result.hpp>

#include "mpi/collectives.hpp"
#include "object/local_store.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

class Layout {
 public:
  [[nodiscard]] bool settled() const noexcept { return settled_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool stale() const noexcept { return stale_.load(std::memory_order_relaxed); }
  /// Of the objects that this rank has to see to, as far as they have been counted.
  [[nodiscard]] std::uint64_t under_replicated() const noexcept { return under_replicated_.load(std::memory_order_relaxed); }
  void set_under_replicated(std::uint64_t objects) noexcept { under_replicated_.store(objects, std::memory_order_relaxed); }

  /// Collective; part of open(). Compares what all disks remember with those that are here, and notes the change on them.
  /// @param local       null on a rank without disks.
  /// @param any_mirror  a bucket keeps more than one copy.
  /// @cost  one exchange of about 40 bytes for each disk; a small file for each disk where something has changed.
  [[nodiscard]] Result<void> find_out(Collectives& collectives, object::LocalStore* local, const placement::StoreMap& map, bool any_mirror);
  /// One rebalance at a time; rank 0 asks for all. @return false: another one runs.
  [[nodiscard]] bool begin_settling() noexcept { return !settling_.exchange(true); }
  void end_settling() noexcept { settling_.store(false); }
  /// Collective. Everything is in its place now.
  [[nodiscard]] Result<void> set_settled(Collectives& collectives, object::LocalStore* local);

 private:
  /// Notes `layout_` on this rank's disks. A disk that cannot be written to is logged.
  void note(object::LocalStore* local, std::uint64_t newest_epoch);

  volume::DiskLayout layout_;
  bool apart_ = false;
  std::atomic<bool> settling_{false};
  std::atomic<bool> settled_{true};
  std::atomic<bool> stale_{false};
  std::atomic<std::uint64_t> under_replicated_{0};
};

}  // namespace tarn::mpi
