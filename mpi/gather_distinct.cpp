#include "mpi/gather_distinct.hpp"

#include <cstdint>
#include <set>
#include <utility>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace tarn::mpi {

Result<std::vector<std::vector<std::byte>>> gather_distinct(Collectives& collectives, std::span<const std::byte> mine) {
  base::Encoder encoder;
  encoder.u64(mine.empty() ? 0 : base::xxh3_64(mine));
  TARN_TRY(const auto hashes, collectives.all_gather(encoder.bytes()));
  std::vector<std::vector<std::byte>> distinct;
  std::set<std::uint64_t> seen{0};
  for (std::size_t rank = 0; rank < hashes.size(); ++rank) {
    if (!seen.insert(base::Decoder(hashes[rank]).u64()).second) continue;
    TARN_TRY(auto bytes, collectives.broadcast(static_cast<RankId>(rank), mine));
    distinct.push_back(std::move(bytes));
  }
  return distinct;
}

}  // namespace tarn::mpi
