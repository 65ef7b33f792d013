// open.hpp - where MPI and Tarn meet: opening a store on a communicator.
// Level 0. The only public header that includes <mpi.h>.
#pragma once

#include <mpi.h>

#include <tarn/store.hpp>

namespace tarn {

/// Collective over `comm`. Opens (or creates) the store that the ranks' directories hold.
/// Duplicates the communicator and never uses it again itself; `comm` may be any
/// intra-communicator. Needs MPI_Init_thread; with MPI_THREAD_MULTIPLE a service thread answers
/// other ranks at any time, with less the application calls Store::progress().
/// @errors the same on every rank, naming the first that failed: busy (a directory is in use),
///         invalid (options disagree, no rank has a directory, singletons instead of one job),
///         denied, no_space, corrupt, io.
/// @cost   O(log P) messages, O(P) bytes per rank.
[[nodiscard]] Result<Store> open(MPI_Comm comm, const StoreOptions& options);

}  // namespace tarn
