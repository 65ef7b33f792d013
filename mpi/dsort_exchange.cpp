#include "mpi/dsort_exchange.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace tarn::mpi {

Result<void> exchange_in_rounds(Collectives& collectives, std::size_t count, const OutgoingFn& outgoing, const IncomingFn& incoming) {
  const auto ranks = static_cast<std::size_t>(collectives.size());
  Result<void> outcome;
  std::size_t next = 0;
  while (true) {
    std::vector<std::vector<std::byte>> messages(ranks);
    for (std::size_t bytes = 0; next < count && bytes < kRoundBytes; ++next) {
      const OutgoingItem item = outgoing(next);
      auto& message = messages[item.rank];
      message.insert(message.end(), item.bytes.begin(), item.bytes.end());
      bytes += item.bytes.size();
    }
    TARN_TRY(auto received, collectives.exchange(std::move(messages)));
    for (std::size_t source = 0; source < ranks && outcome; ++source)
      if (!received[source].empty()) outcome = incoming(source, std::move(received[source]));
    std::array<std::uint64_t, 1> left{count - next};
    TARN_CHECK(collectives.all_reduce_max(left));
    if (left[0] == 0) break;
  }
  return collectives.agree(std::move(outcome));
}

Result<std::vector<std::vector<std::byte>>> all_gather_in_rounds(Collectives& collectives, std::span<const std::byte> mine) {
  constexpr std::size_t kPiece = limits::MiB;
  std::array<std::uint64_t, 1> longest{mine.size()};
  TARN_CHECK(collectives.all_reduce_max(longest));
  std::vector<std::vector<std::byte>> all(static_cast<std::size_t>(collectives.size()));
  for (std::uint64_t at = 0; at < longest[0]; at += kPiece) {
    const auto rest = mine.subspan(std::min<std::size_t>(at, mine.size()));
    TARN_TRY(const auto pieces, collectives.all_gather(rest.first(std::min(kPiece, rest.size()))));
    for (std::size_t rank = 0; rank < all.size(); ++rank) all[rank].insert(all[rank].end(), pieces[rank].begin(), pieces[rank].end());
  }
  return all;
}

}  // namespace tarn::mpi
