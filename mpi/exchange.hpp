// exchange.hpp - the data part of Collectives::exchange: every rank sends bytes to every other, in pieces.
// Level 6 (mpi). Runs on the engine's thread; the caller waits for done().
//
// MPI_Alltoallv is not used: int displacements, an algorithm chosen by the number of ranks alone, everything in
// flight at once. Here rank r sends to r+1, r+2, ... and receives from r-1, r-2, ..., at most kWindow pieces each way.
// Both sides of a pair reach it at the same step, so the pair with the lowest unfinished step can always move: no deadlock.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/engine.hpp"
#include "mpi/event.hpp"

namespace tarn::mpi {

/// Lives, with its bytes, until MPI has done with them.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  /// `received[r]` has the size of what rank r sends here.
  Exchange(Engine& engine, MPI_Comm comm, int rank, std::vector<std::vector<std::byte>> sent, std::vector<std::vector<std::byte>> received);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void start();  ///< engine's thread
  [[nodiscard]] Event& done() noexcept { return done_; }
  [[nodiscard]] std::vector<std::vector<std::byte>>& received() noexcept { return received_; }  ///< after done()
  [[nodiscard]] const Result<void>& outcome() const noexcept { return outcome_; }               ///< after done()

 private:
  static constexpr int kWindow = 8;

  /// Walks over the pieces of one direction.
  struct Direction {
    bool sending = false;
    int step = 1;
    std::size_t offset = 0;
    int in_flight = 0;
  };
  void advance(Direction& direction);
  /// Posts the next piece. @return false when there is none left.
  bool post_next(Direction& direction);
  void ended(Direction& direction, Result<void> outcome);
  void finish_if_complete();

  Engine& engine_;
  const MPI_Comm comm_;
  const int rank_;
  const int size_;
  const std::vector<std::vector<std::byte>> sent_;
  std::vector<std::vector<std::byte>> received_;
  Direction send_{true};
  Direction receive_{false};
  Result<void> outcome_;
  Event done_;
};

}  // namespace tarn::mpi
