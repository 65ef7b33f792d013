#include "http/stats_json.hpp"

#include <string_view>
#include <utility>

namespace tarn::http {

namespace {

std::uint64_t number(const base::Json& object, std::string_view name) {
  return base::json_u64(object, name).value_or(0);
}

}  // namespace

static base::JsonArray disks_to_json(const StoreStats::PerRank& rank) {
  base::JsonArray disks;
  for (const auto& disk : rank.per_disk)
    disks.push_back(
        base::JsonObject{{"garbage_bytes", disk.garbage_bytes}, {"moved_bytes", disk.moved_bytes}, {"returned_bytes", disk.returned_bytes}});
  return disks;
}

base::JsonObject stats_to_json(const StoreStats& stats) {
  base::JsonArray per_rank;
  for (const auto& rank : stats.per_rank)
    per_rank.push_back(base::JsonObject{{"rank", rank.rank},
                                        {"host", rank.host},
                                        {"node", rank.node},
                                        {"url", rank.url},
                                        {"disks", rank.disks},
                                        {"objects", rank.objects},
                                        {"object_bytes", rank.object_bytes},
                                        {"disk_free_bytes", rank.disk_free_bytes},
                                        {"per_disk", disks_to_json(rank)}});
  return {{"objects", stats.objects},
          {"object_bytes", stats.object_bytes},
          {"disk_capacity_bytes", stats.disk_capacity_bytes},
          {"disk_free_bytes", stats.disk_free_bytes},
          {"ranks", stats.ranks},
          {"nodes", stats.nodes},
          {"settled", stats.settled},
          {"under_replicated", stats.under_replicated},
          {"running_work", stats.running_work},
          {"per_rank", std::move(per_rank)}};
}

Result<StoreStats> stats_from_json(const base::Json& json) {
  const base::JsonObject* fields = json.if_object();
  const base::Json* per_rank = fields == nullptr ? nullptr : fields->if_contains("per_rank");
  if (per_rank == nullptr || !per_rank->is_array()) return fail(ErrorCode::invalid, "the store's counters are not as expected: no 'per_rank'");
  StoreStats stats;
  stats.objects = number(json, "objects");
  stats.object_bytes = number(json, "object_bytes");
  stats.disk_capacity_bytes = number(json, "disk_capacity_bytes");
  stats.disk_free_bytes = number(json, "disk_free_bytes");
  stats.ranks = static_cast<int>(number(json, "ranks"));
  stats.nodes = static_cast<int>(number(json, "nodes"));
  stats.settled = base::json_bool(json, "settled").value_or(true);
  stats.under_replicated = number(json, "under_replicated");
  stats.running_work = base::json_string(json, "running_work").value_or("");
  for (const base::Json& item : per_rank->get_array()) {
    StoreStats::PerRank rank;
    rank.rank = static_cast<RankId>(number(item, "rank"));
    rank.host = base::json_string(item, "host").value_or("");
    rank.node = base::json_string(item, "node").value_or("");
    rank.url = base::json_string(item, "url").value_or("");
    rank.disks = number(item, "disks");
    rank.objects = number(item, "objects");
    rank.object_bytes = number(item, "object_bytes");
    rank.disk_free_bytes = number(item, "disk_free_bytes");
    const base::JsonObject* row = item.if_object();
    const base::Json* per_disk = row == nullptr ? nullptr : row->if_contains("per_disk");
    if (per_disk != nullptr && per_disk->is_array()) {
      for (const base::Json& disk : per_disk->get_array())
        rank.per_disk.push_back({number(disk, "garbage_bytes"), number(disk, "moved_bytes"), number(disk, "returned_bytes")});
    }
    stats.per_rank.push_back(std::move(rank));
  }
  return stats;
}

}  // namespace tarn::http
