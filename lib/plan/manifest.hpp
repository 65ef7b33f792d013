// manifest.hpp - what a dsort has made, as JSON: for people and programs that come later.
// Level 4 (plan). Pure. The fields are in docs/DSORT.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/dsort.hpp>
#include <tarn/object.hpp>

#include "base/json.hpp"

namespace tarn::plan {

inline constexpr std::uint64_t kManifestVersion = 1;
/// A member whose values are counted has at most this many different ones on one rank.
inline constexpr std::size_t kClassesMax = 65'536;
/// Values that are no label: longer than kClassBytesMax, not UTF-8, or with control characters.
inline constexpr std::string_view kOtherClass = "(other)";
inline constexpr std::size_t kClassBytesMax = 100;

struct ManifestShard {
  std::uint64_t number = 0;
  std::uint64_t samples = 0;
  std::uint64_t members = 0;
  std::uint64_t size_bytes = 0;  ///< of the object
  Checksum checksum{};           ///< XXH3-128 of the object
};

using ClassCounts = std::map<std::string, std::uint64_t>;  ///< label -> samples

/// @param shards  by number. @param name  of a shard.
[[nodiscard]] base::Json make_manifest(const DsortSpec& spec, const std::vector<ManifestShard>& shards, const std::vector<std::string>& names,
                                       const ClassCounts& classes);
/// The label that a member's content is: without white space around it, or kOtherClass.
[[nodiscard]] std::string class_label(std::string_view content);
/// The manifest's name: what all names of the template begin with, and "manifest.json".
[[nodiscard]] std::string manifest_name(std::string_view template_prefix);

}  // namespace tarn::plan
