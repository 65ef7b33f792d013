// settle.hpp - brings every object's newest version to its holders, and takes away what lies elsewhere: rebalance and repair.
// Level 6 (mpi). Collective: the application's thread, or one that stands for it.
//
//   each rank, its own disks:  pointers whose home is another disk now go there; barrier
//                              objects in batches -> which versions do their holders have? -> lib/plan/copy_plan.hpp -> copies, removals
//   all ranks have succeeded:  every disk notes that the store is settled
//
// A copy reaches all holders before the one it is made from goes, so it can be killed at any time and begun again. While it runs
// objects are read, written and removed as ever: a copy never replaces a later version, and a removal waits for the copy that is made.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/json.hpp"
#include "mpi/buckets.hpp"
#include "mpi/collectives.hpp"
#include "mpi/copies.hpp"
#include "mpi/homes.hpp"
#include "mpi/layout.hpp"
#include "mpi/placed.hpp"
#include "object/local_store.hpp"

namespace tarn::mpi {

struct SettleContext {
  Collectives& collectives;
  object::LocalStore* local = nullptr;  ///< null: this rank has no disks
  Copies& copies;
  Homes& homes;
  Placed& placed;
  Buckets& buckets;
  Layout& layout;
  /// Waits, and lets this rank answer the others meanwhile.
  std::function<void(std::chrono::milliseconds)> pause;
};

/// Collective. All buckets. @errors of the first rank that failed; Error::rank is the rank whose disk it was: no_space, corrupt (an object that has
/// no good copy), io, rank_lost; busy: another one runs. What could be brought to its place has been; the store is not settled then.
/// @param abort  set it (on any rank, from any thread) to stop with `aborted`.
[[nodiscard]] Result<RebalanceReport> settle(SettleContext& context, const RebalanceOptions& options, const RebalanceProgressFn& progress,
                                             const std::atomic<bool>& abort);
[[nodiscard]] base::JsonObject rebalance_report_to_json(const RebalanceReport& report);

/// Collective. Counts the objects that lack a copy, and changes nothing. For Layout::under_replicated().
[[nodiscard]] Result<void> count_missing_copies(SettleContext& context, const std::atomic<bool>& abort);

/// Collective. The objects of one bucket get the copies that they lack, in a store that is settled.
[[nodiscard]] Result<void> make_copies(SettleContext& context, const std::string& bucket);

}  // namespace tarn::mpi
