// object.hpp - names of objects and what is known about them.
// Level 0. Value types; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn {

using RankId = int;

/// Bucket: 2 to 63 of [a-z0-9.-] (S3 asks for 3), but not "v1". Key: 1 to 1,024 bytes of UTF-8 without NUL.
struct ObjectName {
  std::string bucket;
  std::string key;

  friend bool operator==(const ObjectName&, const ObjectName&) = default;
  friend auto operator<=>(const ObjectName&, const ObjectName&) = default;
};

/// Bytes [offset, offset + length). A length beyond the end means "to the end".
struct ByteRange {
  static constexpr std::uint64_t kToEnd = UINT64_MAX;
  std::uint64_t offset = 0;
  std::uint64_t length = kToEnd;

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// XXH3-128 of an object's bytes, canonical (big endian) order.
using Checksum = std::array<std::uint8_t, 16>;

/// What HEAD knows of an object.
struct ObjectInfo {
  std::string key;
  std::uint64_t size_bytes = 0;
  Checksum checksum{};
  std::int64_t modified_ns = 0;  ///< since the Unix epoch
  std::string content_type;      ///< empty: application/octet-stream
  std::map<std::string, std::string> user_metadata;

  friend bool operator==(const ObjectInfo&, const ObjectInfo&) = default;
};

struct PutOptions {
  std::string content_type;
  std::map<std::string, std::string> user_metadata;  ///< at most 2,048 bytes in all (S3's limit)

  friend bool operator==(const PutOptions&, const PutOptions&) = default;
};

/// Which keys to list. Order is by key, byte by byte.
struct ListOptions {
  std::string prefix;
  std::string delimiter;    ///< keys that hold it after the prefix are rolled up into common_prefixes
  std::string start_after;  ///< only keys (and common prefixes) greater than this
  std::size_t max_keys = 1000;
};

/// One page of a listing: objects and common prefixes together count against max_keys.
struct ListPage {
  std::vector<ObjectInfo> objects;
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string next_start_after;  ///< pass as start_after to get the next page; set when truncated
};

/// What the acknowledgement of a change in a bucket promises. none: it survives the death of the process, kill -9 included;
/// sync: a loss of power as well (it waits for the disk).
enum class Durability : std::uint8_t { none, sync };
[[nodiscard]] constexpr std::string_view to_string(Durability durability) noexcept {
  return durability == Durability::sync ? "sync" : "none";
}
[[nodiscard]] constexpr std::optional<Durability> parse_durability(std::string_view text) noexcept {
  if (text == "sync") return Durability::sync;
  return text == "none" ? std::optional(Durability::none) : std::nullopt;
}

/// Given when a bucket is made; it keeps them for as long as it exists.
struct BucketOptions {
  Durability durability = Durability::none;
};

struct BucketInfo {
  std::string name;
  std::int64_t created_ns = 0;
  Durability durability = Durability::none;

  friend bool operator==(const BucketInfo&, const BucketInfo&) = default;
};

}  // namespace tarn
