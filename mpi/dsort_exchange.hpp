// dsort_exchange.hpp - many small records, each to some rank, in rounds of bounded memory.
// Level 6 (mpi). Collective calls only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/collectives.hpp"

namespace tarn::mpi {

/// Appends item `index` to the message for the rank that it returns, by way of `message(rank)`.
/// What a round has sent is known from the message sizes.
struct OutgoingItem {
  std::size_t rank = 0;
  std::span<const std::byte> bytes;
};
using OutgoingFn = std::function<OutgoingItem(std::size_t index)>;
/// Gets what `source` sent in one round; its rounds arrive in order.
using IncomingFn = std::function<Result<void>(std::size_t source, std::vector<std::byte> bytes)>;

/// Collective. Sends items 0 .. count-1 of this rank, in order, and receives those of the others.
/// The span of an item needs to live only until the next call of `outgoing`. After an error of
/// `incoming` the rounds go on, without it, to their common end.
/// @return the same on every rank. @cost per round up to kRoundBytes out, and what comes in.
[[nodiscard]] Result<void> exchange_in_rounds(Collectives& collectives, std::size_t count, const OutgoingFn& outgoing, const IncomingFn& incoming);

/// Collective. Everybody's bytes on every rank, by rank, in rounds: for what is too much for one all_gather.
[[nodiscard]] Result<std::vector<std::vector<std::byte>>> all_gather_in_rounds(Collectives& collectives, std::span<const std::byte> mine);

inline constexpr std::size_t kRoundBytes = 32 << 20;

}  // namespace tarn::mpi
