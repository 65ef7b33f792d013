// open_when.hpp - open() for the command `tarn`, which has no communicator of its own before it: what it checked first is agreed on
// inside, and afterwards it learns which ranks are its own.
// Level 6 (mpi).
#pragma once

#include <mpi.h>

#include <tarn/options.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/file.hpp"

namespace tarn::mpi {

/// Collective, as tarn::open().
/// @param ready  this rank's outcome so far; a failure is every rank's.
/// @param files  where this rank's disks are; lives as long as the store does. Tests have disks that fail or do not answer.
[[nodiscard]] Result<Store> open_when(Result<void> ready, MPI_Comm comm, const StoreOptions& options,
                                      base::FileSystem& files = base::posix_file_system());

/// The ranks of this rank's role; the store's, until close(). Its error handler is that of the communicator given to open().
[[nodiscard]] MPI_Comm role_communicator(const Store& store) noexcept;

/// Whether this is a service rank of a store that an application uses: close() then lasts until that has closed.
[[nodiscard]] bool follows_application(const Store& store) noexcept;

}  // namespace tarn::mpi
