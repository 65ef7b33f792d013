// gather_distinct.hpp - what ranks say when most of them say the same.
// Level 6 (mpi). Part of open().
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/collectives.hpp"

namespace tarn::mpi {

/// Collective. The texts of all ranks, each once, in the order of the first ranks that have them; empty ones are left out. Two with
/// the same 64-bit hash count as one.
/// @cost one exchange of 8 bytes per rank, and a broadcast for each text: a list of which all ranks have the same copy is sent once, not by each
/// rank.
[[nodiscard]] Result<std::vector<std::vector<std::byte>>> gather_distinct(Collectives& collectives, std::span<const std::byte> mine);

}  // namespace tarn::mpi
