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
/// `tarn serve` ranks of an MPMD job (`mpirun -n 2 tarn serve ... : -n 6 ./application`) open on MPI_COMM_WORLD, once; the application's
/// ranks do the same, and find their own communicator in application_communicator().
/// @errors the same on every rank, naming the first that failed: busy (a directory is in use),
///         invalid (options disagree, no rank has a directory, singletons instead of one job),
///         denied, no_space, corrupt, io.
/// @cost   O(log P) messages, O(P) bytes per rank.
[[nodiscard]] Result<Store> open(MPI_Comm comm, const StoreOptions& options);

/// The ranks of `comm` that were opened with RankRole::application, in the order of their ranks there: what an application that shares
/// its job with `tarn serve` uses instead of MPI_COMM_WORLD. It holds the same ranks as `comm` when there are no service ranks. Its error
/// handler is that of `comm`; Tarn itself never uses it.
/// Owned by the store, and valid until close(), which frees it; duplicate it to keep it.
/// @return MPI_COMM_NULL on service ranks, and of a store that is closed or has been moved from.
[[nodiscard]] MPI_Comm application_communicator(const Store& store) noexcept;

}  // namespace tarn
