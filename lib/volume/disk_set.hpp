// disk_set.hpp - the disks of a store as each of them remembers the others: so that one that is not there is missed.
// Level 2 (volume). Value types; pure.
//
//   in disk.json:  "disks": [{"disk": uuid, "weight": bytes, "host": "nid001", "directory": "/scratch/tarn-0"}, ...]    by id
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/uuid.hpp"

namespace tarn::volume {

struct SeenDisk {
  base::Uuid id;
  std::uint64_t weight = 0;
  std::string host, directory;  ///< where it was used last

  friend bool operator==(const SeenDisk&, const SeenDisk&) = default;
};

using DiskSet = std::vector<SeenDisk>;  ///< by id, each once

/// All disks of both; of one that is in both, what `first` says.
[[nodiscard]] DiskSet merged(DiskSet first, const DiskSet& second);
/// The disks of `all` that are not in `present`.
[[nodiscard]] DiskSet without(const DiskSet& all, const DiskSet& present);

[[nodiscard]] base::JsonArray disk_set_to_json(const DiskSet& set);
/// @return nullopt: an entry is malformed. No value at all (null) is the empty set.
[[nodiscard]] std::optional<DiskSet> disk_set_from_json(const base::Json& json);

}  // namespace tarn::volume
