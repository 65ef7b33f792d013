// comm.hpp - communicators of our own.
// Level 6 (mpi). Resource type. The calls here block and belong to open() and close(), before the service
// starts and after it has ended.
#pragma once

#include <mpi.h>

#include <utility>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

namespace tarn::mpi {

/// Owns a communicator. Errors of those that it makes come back as codes (MPI_ERRORS_RETURN).
class Comm {
 public:
  Comm() = default;
  Comm(Comm&& other) noexcept : comm_(std::exchange(other.comm_, MPI_COMM_NULL)), rank_(other.rank_), size_(other.size_) {}
  Comm& operator=(Comm&& other) noexcept;
  /// Frees it, which is collective; does nothing once MPI is finalized.
  ~Comm();

  /// Collective over `comm`. @errors invalid (not an intra-communicator), internal.
  [[nodiscard]] static Result<Comm> duplicate(MPI_Comm comm);
  /// Takes over a communicator, with the error handler that it has.
  [[nodiscard]] static Result<Comm> adopt(MPI_Comm comm);
  /// Collective. The ranks that share memory with this one, in the order of their ranks.
  [[nodiscard]] Result<Comm> split_shared() const;

  /// Forgets the communicator without freeing it: for a store that dies without close().
  void abandon() noexcept { comm_ = MPI_COMM_NULL; }

  [[nodiscard]] MPI_Comm get() const noexcept { return comm_; }
  [[nodiscard]] RankId rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }

 private:
  [[nodiscard]] static Result<Comm> adopt_own(MPI_Comm comm);
  void free() noexcept;

  MPI_Comm comm_ = MPI_COMM_NULL;
  RankId rank_ = 0;
  int size_ = 0;
};

/// Whether MPI calls are possible now: after MPI_Init and before MPI_Finalize.
[[nodiscard]] bool mpi_is_usable() noexcept;

}  // namespace tarn::mpi
