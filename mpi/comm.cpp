#include "mpi/comm.hpp"

#include "base/error.hpp"
#include "mpi/error.hpp"

namespace tarn::mpi {

bool mpi_is_usable() noexcept {
  int initialized = 0;
  int finalized = 0;
  return MPI_Initialized(&initialized) == MPI_SUCCESS && MPI_Finalized(&finalized) == MPI_SUCCESS && initialized != 0 && finalized == 0;
}

Comm& Comm::operator=(Comm&& other) noexcept {
  if (this != &other) {
    free();
    comm_ = std::exchange(other.comm_, MPI_COMM_NULL);
    rank_ = other.rank_;
    size_ = other.size_;
  }
  return *this;
}

Comm::~Comm() {
  free();
}

void Comm::free() noexcept {
  if (comm_ != MPI_COMM_NULL && mpi_is_usable()) MPI_Comm_free(&comm_);
  comm_ = MPI_COMM_NULL;
}

Result<Comm> Comm::adopt(MPI_Comm comm) {
  Comm result;
  result.comm_ = comm;
  TARN_MPI(MPI_Comm_rank(comm, &result.rank_));
  TARN_MPI(MPI_Comm_size(comm, &result.size_));
  return result;
}

Result<Comm> Comm::adopt_own(MPI_Comm comm) {
  TARN_TRY(auto result, adopt(comm));
  TARN_MPI(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
  return result;
}

Result<Comm> Comm::duplicate(MPI_Comm comm) {
  MPI_Comm copy = MPI_COMM_NULL;
  TARN_MPI(MPI_Comm_dup(comm, &copy));
  return adopt_own(copy);
}

Result<Comm> Comm::split_shared() const {
  MPI_Comm node = MPI_COMM_NULL;
  TARN_MPI(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node));
  return adopt_own(node);
}

}  // namespace tarn::mpi
