#include "placement/map_json.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"

namespace tarn::placement {

namespace {

tl::unexpected<Error> bad(const std::string& why) {
  return fail(ErrorCode::invalid, "the store's map is not as expected: " + why);
}

Result<base::Uuid> uuid_member(const base::Json& object, std::string_view name) {
  const auto text = base::json_string(object, name);
  const auto uuid = text ? base::Uuid::parse(*text) : std::nullopt;
  if (!uuid) return bad("'" + std::string(name) + "' is not a UUID");
  return *uuid;
}

const base::JsonArray* array_member(const base::Json& object, std::string_view name) {
  const base::JsonObject* fields = object.if_object();
  const base::Json* value = fields == nullptr ? nullptr : fields->if_contains(name);
  return value == nullptr ? nullptr : value->if_array();
}

Result<Rank> rank_from_json(const base::Json& json, std::size_t expected_rank) {
  Rank rank;
  if (base::json_u64(json, "rank") != expected_rank) return bad("ranks are not 0, 1, 2, ...");
  rank.rank = static_cast<RankId>(expected_rank);
  rank.host = base::json_string(json, "host").value_or("");
  rank.node = base::json_string(json, "node").value_or("");
  rank.url = base::json_string(json, "url").value_or("");
  return rank;
}

Result<Disk> disk_from_json(const base::Json& json, std::size_t ranks) {
  Disk disk;
  TARN_TRY(disk.id, uuid_member(json, "id"));
  const auto rank = base::json_u64(json, "rank");
  const auto index = base::json_u64(json, "index");
  disk.weight = base::json_u64(json, "weight").value_or(0);
  if (disk.weight == 0) return bad("disk " + disk.id.to_string() + " has no weight");
  if (!rank || *rank >= ranks) return bad("disk " + disk.id.to_string() + " belongs to no rank");
  if (!index || *index > UINT32_MAX) return bad("disk " + disk.id.to_string() + " has no index");
  disk.rank = static_cast<RankId>(*rank);
  disk.index = static_cast<std::uint32_t>(*index);
  disk.directory = base::json_string(json, "directory").value_or("");
  return disk;
}

}  // namespace

base::JsonObject map_to_json(const StoreMap& map) {
  base::JsonArray ranks;
  for (const Rank& rank : map.ranks)
    ranks.push_back(base::JsonObject{{"rank", rank.rank}, {"host", rank.host}, {"node", rank.node}, {"url", rank.url}});
  base::JsonArray disks;
  for (const Disk& disk : map.disks)
    disks.push_back(base::JsonObject{
        {"id", disk.id.to_string()}, {"weight", disk.weight}, {"rank", disk.rank}, {"index", disk.index}, {"directory", disk.directory}});
  return {{"store", map.store_id.to_string()}, {"epoch", map.epoch}, {"ranks", std::move(ranks)}, {"disks", std::move(disks)}};
}

Result<StoreMap> map_from_json(const base::Json& json) {
  StoreMap map;
  TARN_TRY(map.store_id, uuid_member(json, "store"));
  const auto epoch = base::json_u64(json, "epoch");
  const auto* ranks = array_member(json, "ranks");
  const auto* disks = array_member(json, "disks");
  if (!epoch || ranks == nullptr || disks == nullptr) return bad("it lacks 'epoch', 'ranks' or 'disks'");
  map.epoch = *epoch;
  for (const base::Json& item : *ranks) {
    TARN_TRY(Rank rank, rank_from_json(item, map.ranks.size()));
    map.ranks.push_back(std::move(rank));
  }
  for (const base::Json& item : *disks) {
    TARN_TRY(Disk disk, disk_from_json(item, map.ranks.size()));
    if (!map.disks.empty() && !(map.disks.back().id < disk.id)) return bad("its disks are not in the order of their ids");
    map.disks.push_back(std::move(disk));
  }
  return map;
}

}  // namespace tarn::placement
