// error.hpp - every code that MPI returns is checked: TARN_MPI(call).
// Level 6 (mpi). Any thread.
#pragma once

#include <mpi.h>

#include <string_view>

#include <tarn/result.hpp>

namespace tarn::mpi {

/// "MPI_Improbe failed: MPI_ERR_COMM: invalid communicator", as `internal`.
[[nodiscard]] Error mpi_error(int code, std::string_view call);

}  // namespace tarn::mpi

/// Makes an MPI call; the enclosing function returns the error of a failed one.
#define TARN_MPI(call)                                                                                                                     \
  do {                                                                                                                                     \
    if (const int tarn_mpi_code = (call); tarn_mpi_code != MPI_SUCCESS) return ::tarn::fail(::tarn::mpi::mpi_error(tarn_mpi_code, #call)); \
  } while (false)
