#include <tarn/open.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "mpi/comm.hpp"
#include "mpi/error.hpp"
#include "mpi/membership.hpp"
#include "mpi/open_when.hpp"
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

/// By the communicator of the caller, whose error handler the new one gets: it is the application's, not ours.
Result<void> split_by_role(Store::Impl::Comms& comms, MPI_Comm comm, RankRole role) {
  MPI_Comm own = MPI_COMM_NULL;
  TARN_MPI(MPI_Comm_split(comm, static_cast<int>(role), comms.application.rank(), &own));
  TARN_TRY(comms.role, mpi::Comm::adopt(own));
  return {};
}

Result<Store> open_checked(MPI_Comm comm, const StoreOptions& options, Result<void> ready, base::FileSystem& files) {
  if (!mpi::mpi_is_usable()) return fail(ErrorCode::invalid, "tarn::open was called outside of MPI_Init and MPI_Finalize");
  if (comm == MPI_COMM_NULL) return fail(ErrorCode::invalid, "tarn::open was given MPI_COMM_NULL");
  TARN_CHECK(mpi::check_launcher(comm));
  TARN_TRY(const auto level, thread_level());
  TARN_TRY(auto impl, Store::Impl::open(comm, options, level, std::move(ready), files));
  return Store(std::move(impl));
}

}  // namespace

Result<std::unique_ptr<Store::Impl>> Store::Impl::open(MPI_Comm comm, const StoreOptions& options, mpi::ThreadLevel level, Result<void> ready,
                                                       base::FileSystem& files) {
  TARN_TRY(auto comms, make_comms(comm));
  const mpi::ApplicationCall call;
  const auto meet = [&]() -> Result<mpi::Members> {
    mpi::Engine engine({level == mpi::ThreadLevel::any, options.idle_poll_cap});  // the store's own starts with what they agree on
    mpi::MpiCollectives collectives(engine, comms.application);
    TARN_CHECK(collectives.agree(std::move(ready)));
    return mpi::exchange_identity(collectives, comms.application, options);
  };
  TARN_TRY(auto members, meet());
  TARN_CHECK(split_by_role(comms, comm, options.role));
  auto impl = std::make_unique<Store::Impl>(std::move(comms), std::move(members), level, files);
  TARN_CHECK(impl->open());
  return impl;
}

Result<Store> open(MPI_Comm comm, const StoreOptions& options) {
  return mpi::open_when({}, comm, options);
}

Result<Store> mpi::open_when(Result<void> ready, MPI_Comm comm, const StoreOptions& options, base::FileSystem& files) {
  try {
    return open_checked(comm, options, std::move(ready), files);
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, std::string("tarn::open: ") + error.what());
  }
}

MPI_Comm application_communicator(const Store& store) noexcept {
  const auto* impl = StoreAccess::impl(store);
  return impl == nullptr || impl->closed() || impl->members().options.role == RankRole::service ? MPI_COMM_NULL : impl->role_communicator();
}

MPI_Comm mpi::role_communicator(const Store& store) noexcept {
  const auto* impl = StoreAccess::impl(store);
  return impl == nullptr || impl->closed() ? MPI_COMM_NULL : impl->role_communicator();
}

bool mpi::follows_application(const Store& store) noexcept {
  const auto* impl = StoreAccess::impl(store);
  return impl != nullptr && impl->follows();
}

}  // namespace tarn
