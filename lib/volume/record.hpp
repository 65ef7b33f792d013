// record.hpp - what the index knows of one object, in memory and as the compact value of an LMDB entry.
// Level 2 (volume). Value types; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>

namespace tarn::volume {

/// Bytes of a volume file. `solo`: the volume holds this object alone and goes away with it. `blocks`: a table with a hash
/// for each block of them follows (block_table.hpp).
struct Extent {
  std::uint64_t volume = 0;
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
  bool solo = false;
  bool blocks = false;
  std::uint64_t header_bytes = 0;  ///< of the member, right before offset

  /// Of the whole member.
  [[nodiscard]] std::uint64_t footprint_bytes() const noexcept;

  friend bool operator==(const Extent&, const Extent&) = default;
};

/// Every object has an extent, one without bytes as well: it says where its member lies. An assembled one has those of its parts.
struct Record {
  std::uint64_t sequence = 0;
  std::uint64_t size_bytes = 0;
  Checksum checksum{};
  std::int64_t modified_ns = 0;
  std::string content_type;
  std::map<std::string, std::string> user_metadata;
  std::vector<Extent> extents;
  /// Of an assembled object (extent_list.hpp): the member that lists its extents.
  std::optional<Extent> list = std::nullopt;

  /// Every place that it takes: its extents and the list of them.
  template <class Visit>
  void for_each_place(const Visit& visit) const {
    for (const Extent& extent : extents) visit(extent);
    if (list) visit(*list);
  }
  friend bool operator==(const Record&, const Record&) = default;
};

struct Member;
/// Of an object whose member lies at `place`. @param extents  of an assembled one.
[[nodiscard]] Record to_record(const Member& member, const Extent& place, std::vector<Extent> extents = {});

/// What reading the bytes of nearly every object takes: it holds no memory.
struct BriefRecord {
  std::uint64_t sequence = 0;
  std::uint64_t size_bytes = 0;
  Checksum checksum{};
  Extent extent;  ///< of no bytes: an empty object's
};

/// The newest state of one key: a record, or its removal.
struct Change {
  std::string key;  ///< of the index
  std::uint64_t sequence = 0;
  std::optional<Record> record;  ///< nullopt: removed
  bool sync = false;             ///< its bucket has durability sync
};

/// A member that compaction has copied; the index follows if it still points to the old place.
struct Move {
  std::string key;  ///< of the index
  std::uint64_t sequence = 0;
  Extent from, to;
};

/// A bucket as the index keeps it; removed ones are kept out.
struct BucketChange {
  std::string bucket;
  std::uint64_t sequence = 0;
  std::optional<std::int64_t> created_ns;  ///< nullopt: removed
  BucketOptions options;
};

/// Whether a bucket is Tarn's own: nobody can name it, and what is in it is not counted.
[[nodiscard]] constexpr bool is_own_bucket(std::string_view bucket_or_index_key) noexcept {
  return bucket_or_index_key.starts_with('.');
}
/// `bucket NUL key`
[[nodiscard]] std::string index_key(std::string_view bucket, std::string_view key);
/// The part behind the NUL.
[[nodiscard]] std::string_view object_key(std::string_view index_key) noexcept;

[[nodiscard]] std::vector<std::byte> encode_record(const Record& record);
/// A removal that a rebuild must remember until every volume has been read.
[[nodiscard]] std::vector<std::byte> encode_removal(std::uint64_t sequence);
/// @return nullopt when the bytes are not a record (a damaged index).
[[nodiscard]] std::optional<Record> decode_record(std::span<const std::byte> value);
/// @return nullopt: not the record of an object of at most one extent that was not assembled.
[[nodiscard]] std::optional<BriefRecord> decode_brief(std::span<const std::byte> value) noexcept;
/// Only the sequence, of records and removals.
[[nodiscard]] std::optional<std::uint64_t> decode_sequence(std::span<const std::byte> value);
[[nodiscard]] bool is_assembled(std::span<const std::byte> value) noexcept;
[[nodiscard]] bool is_removal(std::span<const std::byte> value) noexcept;

[[nodiscard]] ObjectInfo object_info(std::string_view key, const Record& record);

}  // namespace tarn::volume
