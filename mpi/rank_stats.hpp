// rank_stats.hpp - counters of ranks, and questions that go to many ranks at once.
// Level 6 (mpi). Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <tarn/store.hpp>

#include "base/codec.hpp"
#include "base/limits.hpp"
#include "mpi/caller.hpp"
#include "object/local_store.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

/// One rank's counters, as Op::stats answers them.
struct RankStats {
  std::uint64_t disks = 0;
  std::uint64_t objects = 0;
  std::uint64_t object_bytes = 0;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t under_replicated = 0;
  std::vector<StoreStats::PerRank::PerDisk> per_disk;
};
[[nodiscard]] RankStats local_stats(const object::LocalStore& store, std::uint64_t under_replicated);
void encode(base::Encoder& encoder, const RankStats& stats);
[[nodiscard]] RankStats decode_rank_stats(base::Decoder& decoder);

/// Every rank of the map with zeros.
[[nodiscard]] StoreStats empty_stats(const placement::StoreMap& map);
void add(StoreStats& total, RankId rank, const RankStats& stats);

/// Asks every rank of `ranks` but `self`, at most kPeerRequestsInFlightMax at a time, and takes the answers in order.
/// @param ask   RankId -> std::shared_ptr<Call>
/// @param take  (RankId, body) -> Result<void>
/// @return the first error, after all that were asked have answered.
template <class Ask, class Take>
[[nodiscard]] Result<void> for_each_rank(Caller& caller, const std::vector<RankId>& ranks, RankId self, Ask ask, Take take) {
  std::deque<std::shared_ptr<Call>> under_way;
  Result<void> outcome;
  const auto finish_oldest = [&] {
    const auto call = std::move(under_way.front());
    under_way.pop_front();
    auto ended = caller.finish(*call);
    if (ended && outcome) ended = take(call->rank(), call->body());
    if (!ended && outcome) outcome = std::move(ended);
  };
  for (const RankId rank : ranks) {
    if (rank == self || !outcome) continue;
    under_way.push_back(ask(rank));
    if (under_way.size() == limits::kPeerRequestsInFlightMax) finish_oldest();
  }
  while (!under_way.empty()) finish_oldest();
  return outcome;
}

}  // namespace tarn::mpi
