// collective_calls.hpp - the calls of a store that all ranks make, agreed on before they begin; and service ranks that follow.
// Level 6 (mpi). One calling thread at a time.
//
//   application  close() --------> begin(close) --+
//   application  (computes) ..... close() --------+--> the maximum: close --> all of them close
//   service      close(): next() -----------------+
//
// Ranks that have come to different calls all get an error instead of waiting for each other inside of them. A store without
// service ranks, or with nothing else, agrees on close() alone: it is the one call that ranks reach at very different times.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <tarn/result.hpp>

#include "mpi/mpi_collectives.hpp"

namespace tarn::mpi {

enum class CollectiveCall : std::uint8_t { flush = 1, dsort, rebalance, close };
[[nodiscard]] std::string_view to_string(CollectiveCall call) noexcept;

class CollectiveCalls {
 public:
  /// `mixed`: the store has service ranks and others.
  CollectiveCalls(MpiCollectives& collectives, bool mixed) : collectives_(collectives), mixed_(mixed) {}

  /// Collective, with next() on service ranks of a mixed store: returns when all are here.
  /// @errors invalid: not all make this call; rank_lost.
  [[nodiscard]] Result<void> begin(CollectiveCall call);
  /// What the application's ranks do next, however long that takes. @errors rank_lost.
  [[nodiscard]] Result<CollectiveCall> next();

 private:
  struct Bounds {
    std::uint64_t lowest = 0, highest = 0;
  };
  [[nodiscard]] Result<Bounds> meet(std::optional<CollectiveCall> mine);

  MpiCollectives& collectives_;
  const bool mixed_;
};

}  // namespace tarn::mpi
