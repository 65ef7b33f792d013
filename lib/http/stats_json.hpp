// stats_json.hpp - the counters of the whole store as JSON: what GET /-/stats answers and the client reads.
// Level 5 (http). Pure.
//
//   {"objects", "object_bytes", "disk_capacity_bytes", "disk_free_bytes", "ranks", "nodes",
//    "per_rank": [{"rank", "host", "node", "url", "disks", "objects", "object_bytes", "disk_free_bytes",
//                  "per_disk": [{"garbage_bytes", "moved_bytes", "returned_bytes"}, ...]}, ...]}
#pragma once

#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/json.hpp"

namespace tarn::http {

[[nodiscard]] base::JsonObject stats_to_json(const StoreStats& stats);
/// @errors invalid: not of that form. Members it does not know are ignored, missing counters are 0.
[[nodiscard]] Result<StoreStats> stats_from_json(const base::Json& json);

}  // namespace tarn::http
