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

/// Where the objects of a bucket, or one object, are put first. docs/ARCHITECTURE.md, "Placement".
/// hash:  on the disk that the key computes to, weighted by capacity; keys that share a "{tag}" go to one disk. Found without asking.
/// local: on a disk of the rank that writes; the disk that the key computes to keeps a pointer.
/// rank:  on a disk of a certain rank, with a pointer as well.
struct PlacementPolicy {
  enum class Kind : std::uint8_t { hash, local, rank };
  Kind kind = Kind::hash;
  RankId rank = -1;  ///< of Kind::rank

  friend bool operator==(const PlacementPolicy&, const PlacementPolicy&) = default;
};
/// "hash", "local", "rank=3".
[[nodiscard]] std::string to_string(const PlacementPolicy& policy);
/// @return nullopt: none of these.
[[nodiscard]] std::optional<PlacementPolicy> parse_placement(std::string_view text) noexcept;

struct PutOptions {
  std::string content_type;
  std::map<std::string, std::string> user_metadata;  ///< at most 2,048 bytes in all (S3's limit)
  /// Instead of the bucket's. Not in a bucket that is mirrored.
  std::optional<PlacementPolicy> placement = std::nullopt;

  friend bool operator==(const PutOptions&, const PutOptions&) = default;
};

/// How the sidecar treats objects beyond 64 KiB that can go from the page cache to the client: see VerifySendfile.
/// store: as the option of the rank says. Every other read is verified in any bucket.
enum class ChecksumPolicy : std::uint8_t { store, never, first, always };
[[nodiscard]] std::string_view to_string(ChecksumPolicy policy) noexcept;
[[nodiscard]] std::optional<ChecksumPolicy> parse_checksum_policy(std::string_view text) noexcept;

inline constexpr unsigned kMirrorMax = 16;

/// Given when a bucket is made; it keeps them for as long as it exists.
struct BucketOptions {
  Durability durability = Durability::none;
  /// Copies of each object, on disks of different nodes (of different ranks where there are fewer nodes): 1 to kMirrorMax.
  unsigned mirror = 1;
  PlacementPolicy placement;
  ChecksumPolicy checksum = ChecksumPolicy::store;
  /// Set by the store: PutOptions::placement has been used in this bucket, so homes are asked for pointers.
  bool scattered = false;

  friend bool operator==(const BucketOptions&, const BucketOptions&) = default;
};

struct BucketInfo {
  std::string name;
  std::int64_t created_ns = 0;
  BucketOptions options;

  friend bool operator==(const BucketInfo&, const BucketInfo&) = default;
};

}  // namespace tarn
