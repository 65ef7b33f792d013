// bucket_text.hpp - a bucket as the commands print it.
// Level 7 (tools). Pure.
#pragma once

#include <string>

#include <tarn/object.hpp>

#include "base/json.hpp"

namespace tarn::tools {

/// {"bucket", "created", "durability", "mirror", "placement", "checksum"}
[[nodiscard]] base::JsonObject bucket_to_json(const BucketInfo& bucket);
/// "raw, durability none, 2 copies, placement hash"
[[nodiscard]] std::string describe_bucket(const BucketInfo& bucket);

}  // namespace tarn::tools
