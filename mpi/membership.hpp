// membership.hpp - who takes part: launcher check, nodes, common options, the store's id and map.
// Level 6 (mpi). Collective steps of open(); each ends in an agreement.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/options.hpp>
#include <tarn/result.hpp>

#include "mpi/collectives.hpp"
#include "mpi/comm.hpp"
#include "object/local_store.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

/// Not collective. When `comm` holds all processes that MPI knows, the launcher must have started as many.
/// @errors invalid: N separate singletons instead of one job of N, with the remedy.
[[nodiscard]] Result<void> check_launcher(MPI_Comm comm);

/// How long a request to another rank may take: 30 s * (1 + log2(ranks)) unless the options say otherwise.
[[nodiscard]] std::chrono::milliseconds request_timeout(const StoreOptions& options, int ranks);

/// Who takes part: the same on every rank, but for `options`.
struct Members {
  StoreOptions options;                ///< of this rank, with what all have in common
  std::vector<placement::Rank> ranks;  ///< urls are still empty
  int services = 0;                    ///< ranks with that role
  RankId first_application = -1;       ///< -1: none
  RankId endpoint_writer = -1;         ///< who writes the endpoint file; -1: nobody
  /// Ranks of both roles: service ranks follow what the application's ranks do together.
  [[nodiscard]] bool mixed() const noexcept { return services > 0 && first_application >= 0; }
};

/// Collective. The ranks with their roles, hosts and nodes. A node is a set of ranks that share memory, named after its host; with
/// node_id_from_rank each rank is a node of its own.
/// @errors invalid: options that must be equal differ.
[[nodiscard]] Result<Members> exchange_identity(Collectives& collectives, const Comm& comm, const StoreOptions& options);

/// This rank's directories with {rank} and {node} replaced.
[[nodiscard]] std::vector<std::string> substitute_directories(const StoreOptions& options, const placement::Rank& here);

/// Collective. Finds the store that the disks belong to (a new one when none does), stamps new disks, and makes the map.
/// Disks of an earlier run that are not here are named in the log of rank 0.
/// @param local  null on a rank without directories.
/// @param ranks  of exchange_identity().
/// @param url    of this rank's sidecar.
/// @errors invalid: no rank has a disk, disks of two stores, one disk twice.
[[nodiscard]] Result<placement::StoreMap> exchange_disks(Collectives& collectives, object::LocalStore* local, std::vector<placement::Rank> ranks,
                                                         std::string_view url);

/// Collective. The buckets that ranks know; one that they know differently comes several times. Usually all know the same, which is sent once.
[[nodiscard]] Result<std::vector<BucketInfo>> exchange_buckets(Collectives& collectives, const object::LocalStore* local);

}  // namespace tarn::mpi
