#include "volume/disk_set.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tarn::volume {

namespace {

bool by_id(const SeenDisk& a, const SeenDisk& b) {
  return a.id < b.id;
}

}  // namespace

DiskSet merged(DiskSet first, const DiskSet& second) {
  DiskSet all;
  all.reserve(first.size() + second.size());
  std::set_union(std::make_move_iterator(first.begin()), std::make_move_iterator(first.end()), second.begin(), second.end(), std::back_inserter(all),
                 by_id);
  return all;
}

DiskSet without(const DiskSet& all, const DiskSet& present) {
  DiskSet rest;
  std::set_difference(all.begin(), all.end(), present.begin(), present.end(), std::back_inserter(rest), by_id);
  return rest;
}

base::JsonArray disk_set_to_json(const DiskSet& set) {
  base::JsonArray json;
  for (const SeenDisk& disk : set)
    json.push_back(base::JsonObject{{"disk", disk.id.to_string()}, {"weight", disk.weight}, {"host", disk.host}, {"directory", disk.directory}});
  return json;
}

std::optional<DiskSet> disk_set_from_json(const base::Json& json) {
  if (json.is_null()) return DiskSet();
  const base::JsonArray* entries = json.if_array();
  if (entries == nullptr) return std::nullopt;
  DiskSet set;
  for (const base::Json& entry : *entries) {
    const auto id = base::Uuid::parse(base::json_string(entry, "disk").value_or(""));
    if (!id) return std::nullopt;
    set.push_back({*id, base::json_u64(entry, "weight").value_or(0), base::json_string(entry, "host").value_or(""),
                   base::json_string(entry, "directory").value_or("")});
  }
  std::sort(set.begin(), set.end(), by_id);
  set.erase(std::unique(set.begin(), set.end(), [](const SeenDisk& a, const SeenDisk& b) { return a.id == b.id; }), set.end());
  return set;
}

}  // namespace tarn::volume
