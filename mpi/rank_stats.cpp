#include "mpi/rank_stats.hpp"

#include <set>
#include <string_view>

namespace tarn::mpi {

RankStats local_stats(const object::LocalStore& store, std::uint64_t under_replicated) {
  RankStats stats;
  stats.under_replicated = under_replicated;
  for (const auto& disk : store.disks()) {
    ++stats.disks;
    stats.objects += disk.objects;
    stats.object_bytes += disk.object_bytes;
    stats.capacity_bytes += disk.space.capacity_bytes;
    stats.free_bytes += disk.space.free_bytes;
    stats.per_disk.push_back({disk.compaction.garbage_bytes, disk.compaction.moved_bytes, disk.compaction.returned_bytes});
  }
  return stats;
}

void encode(base::Encoder& encoder, const RankStats& stats) {
  encoder.u64(stats.disks).u64(stats.objects).u64(stats.object_bytes).u64(stats.capacity_bytes).u64(stats.free_bytes).u64(stats.under_replicated);
  for (const auto& disk : stats.per_disk) encoder.u64(disk.garbage_bytes).u64(disk.moved_bytes).u64(disk.returned_bytes);
}

RankStats decode_rank_stats(base::Decoder& decoder) {
  RankStats stats;
  stats.disks = decoder.u64();
  stats.objects = decoder.u64();
  stats.object_bytes = decoder.u64();
  stats.capacity_bytes = decoder.u64();
  stats.free_bytes = decoder.u64();
  stats.under_replicated = decoder.u64();
  for (std::uint64_t i = 0; i < stats.disks && !decoder.failed(); ++i) {
    auto& disk = stats.per_disk.emplace_back();
    disk.garbage_bytes = decoder.u64();
    disk.moved_bytes = decoder.u64();
    disk.returned_bytes = decoder.u64();
  }
  return stats;
}

StoreStats empty_stats(const placement::StoreMap& map) {
  StoreStats stats;
  std::set<std::string_view> nodes;
  for (const auto& rank : map.ranks) {
    StoreStats::PerRank row;
    row.rank = rank.rank;
    row.host = rank.host;
    row.node = rank.node;
    row.url = rank.url;
    stats.per_rank.push_back(std::move(row));
    nodes.insert(rank.node);
  }
  stats.ranks = static_cast<int>(map.ranks.size());
  stats.nodes = static_cast<int>(nodes.size());
  return stats;
}

void add(StoreStats& total, RankId rank, const RankStats& stats) {
  total.objects += stats.objects;
  total.object_bytes += stats.object_bytes;
  total.disk_capacity_bytes += stats.capacity_bytes;
  total.disk_free_bytes += stats.free_bytes;
  total.under_replicated += stats.under_replicated;
  auto& row = total.per_rank[static_cast<std::size_t>(rank)];
  row.disks = stats.disks;
  row.objects = stats.objects;
  row.object_bytes = stats.object_bytes;
  row.disk_free_bytes = stats.free_bytes;
  row.per_disk = stats.per_disk;
}

}  // namespace tarn::mpi
