#include <tarn/open.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "mpi/comm.hpp"
#include "mpi/error.hpp"
#include "mpi/membership.hpp"
#include "mpi/store_impl.hpp"

namespace tarn {

namespace {

/// @errors invalid: this thread may not call MPI.
Result<mpi::ThreadLevel> thread_level() {
  int level = MPI_THREAD_SINGLE;
  TARN_MPI(MPI_Query_thread(&level));
  if (level == MPI_THREAD_MULTIPLE) return mpi::ThreadLevel::any;
  if (level == MPI_THREAD_SERIALIZED) return mpi::ThreadLevel::one_at_a_time;
  int is_main = 0;
  TARN_MPI(MPI_Is_thread_main(&is_main));
  if (is_main == 0) return fail(mpi::wrong_thread());
  return mpi::ThreadLevel::main_only;
}

Result<Store::Impl::Comms> make_comms(MPI_Comm comm) {
  int is_inter = 0;
  TARN_MPI(MPI_Comm_test_inter(comm, &is_inter));
  if (is_inter != 0) return fail(ErrorCode::invalid, "tarn::open needs an intra-communicator, not one that connects two groups");
  Store::Impl::Comms comms;
  TARN_TRY(comms.peers, mpi::Comm::duplicate(comm));
  TARN_TRY(comms.application, mpi::Comm::duplicate(comm));
  TARN_TRY(comms.jobs, mpi::Comm::duplicate(comm));
  return comms;
}

Result<Store> open_checked(MPI_Comm comm, const StoreOptions& options) {
  if (!mpi::mpi_is_usable()) return fail(ErrorCode::invalid, "tarn::open was called outside of MPI_Init and MPI_Finalize");
  if (comm == MPI_COMM_NULL) return fail(ErrorCode::invalid, "tarn::open was given MPI_COMM_NULL");
  TARN_CHECK(mpi::check_launcher(comm));
  TARN_TRY(const auto level, thread_level());
  TARN_TRY(auto comms, make_comms(comm));
  auto impl = std::make_unique<Store::Impl>(std::move(comms), options, level);
  const mpi::ApplicationCall call;
  TARN_CHECK(impl->open());
  return Store(std::move(impl));
}

}  // namespace

Result<Store> open(MPI_Comm comm, const StoreOptions& options) {
  try {
    return open_checked(comm, options);
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, std::string("tarn::open: ") + error.what());
  }
}

}  // namespace tarn
