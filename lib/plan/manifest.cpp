#include "plan/manifest.hpp"

#include <algorithm>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "plan/dsort_spec.hpp"

namespace tarn::plan {

base::Json make_manifest(const DsortSpec& spec, const std::vector<ManifestShard>& shards, const std::vector<std::string>& names,
                         const ClassCounts& classes) {
  base::JsonArray list;
  std::uint64_t samples = 0, members = 0, bytes = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const ManifestShard& shard = shards[i];
    list.push_back(base::JsonObject{{"name", names[i]},
                                    {"samples", shard.samples},
                                    {"members", shard.members},
                                    {"bytes", shard.size_bytes},
                                    {"xxh3", base::to_hex(shard.checksum)}});
    samples += shard.samples;
    members += shard.members;
    bytes += shard.size_bytes;
  }
  base::JsonObject json{{"tarn_manifest", kManifestVersion},
                        {"totals", base::JsonObject{{"shards", shards.size()}, {"samples", samples}, {"members", members}, {"bytes", bytes}}},
                        {"seed", spec.seed},
                        {"spec", dsort_spec_to_json(spec)},
                        {"shards", std::move(list)}};
  if (!spec.class_extension.empty()) {
    base::JsonObject counts;
    for (const auto& [label, count] : classes) counts[label] = count;
    json["classes"] = base::JsonObject{{spec.class_extension, std::move(counts)}};
  }
  return json;
}

std::string class_label(std::string_view content) {
  const std::string_view label = base::trimmed(content);
  const bool control = std::any_of(label.begin(), label.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return std::string(label.size() > kClassBytesMax || control || !base::is_utf8(label) ? kOtherClass : label);
}

std::string manifest_name(std::string_view template_prefix) {
  return std::string(template_prefix) + "manifest.json";
}

}  // namespace tarn::plan
