// map_json.hpp - the store map as JSON: what GET /-/map answers and the client reads.
// Level 2 (placement). Pure.
//
//   {"store": uuid, "epoch": 1,
//    "ranks": [{"rank": 0, "host": "nid001", "node": "nid001", "url": "http://10.0.0.1:41001"}, ...],
//    "disks": [{"id": uuid, "weight": 960197124096, "rank": 0, "index": 0, "directory": "/scratch/tarn-0"}, ...]}
#pragma once

#include <tarn/result.hpp>

#include "base/json.hpp"
#include "placement/store_map.hpp"

namespace tarn::placement {

[[nodiscard]] base::JsonObject map_to_json(const StoreMap& map);

/// Members it does not know are ignored.
/// @errors invalid: a member is missing or wrong, a weight is 0, ranks are not 0, 1, 2, ..., disks are not in the order
///         of their ids or name a rank that is not there.
[[nodiscard]] Result<StoreMap> map_from_json(const base::Json& json);

}  // namespace tarn::placement
