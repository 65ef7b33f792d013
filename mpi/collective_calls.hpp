// collective_calls.hpp - the calls of a store that all ranks make, agreed on before they begin; and service ranks that follow.
// Level 6 (mpi). One calling thread at a time.
//
//   application  close() --------> begin(close) --+
//   application  (computes) ..... close() --------+--> the maximum: close --> all of them close
//   service      close(): next() -----------------+
//
// Ranks that have come to different calls all get an error instead of being inside of different collective calls of MPI, which would
// hang or spoil each other's messages. The price is one reduction of 16 bytes, in stores without service ranks too.
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
  explicit CollectiveCalls(MpiCollectives& collectives) : collectives_(collectives) {}

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
};

}  // namespace tarn::mpi
