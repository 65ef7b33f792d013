// disk_sets.hpp - which disks a store has had, by what its disks remember, and which of them are not here.
// Level 6 (mpi). Part of open().
#pragma once

#include <tarn/result.hpp>

#include "mpi/collectives.hpp"
#include "object/local_store.hpp"
#include "placement/store_map.hpp"
#include "volume/disk_set.hpp"

namespace tarn::mpi {

/// Collective. All disks that any rank's disks know of.
/// @param local  null on a rank without directories.
/// @cost one exchange of 8 bytes per rank, and a broadcast for each list that differs: one, when all were written by the same run.
[[nodiscard]] Result<volume::DiskSet> exchange_known_disks(Collectives& collectives, const object::LocalStore* local);

/// The disks of the map, as they are to be remembered.
[[nodiscard]] volume::DiskSet present_disks(const placement::StoreMap& map);

/// One line for each of the first few, with where it was seen last.
void warn_about_missing_disks(const volume::DiskSet& missing);

}  // namespace tarn::mpi
