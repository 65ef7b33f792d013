// record.hpp - what dsort knows of one sample, packed: about 50 bytes and the key.
// Level 4 (plan). Value types; one thread.
//
//   record:  key (varint length, bytes) | content key (the same) | members | blocks of tar (512) | origin | parts (varint count, then each)
//     origin 0      loose: the parts are objects of their own, each with a name
//     origin s + 1  cut out of source s, a shard; sources are numbered in the order of their names
//   shard part:  offset / 512 | length / 512 | XXH3-64 of the bytes (8)
//   loose part:  name (varint length, bytes) | size | XXH3-128 (16) | rank | disk | extents (count, then volume offset length of each)
//   all numbers without a size are varints (base/codec.hpp)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>

#include "base/codec.hpp"
#include "shard/shard_index.hpp"

namespace tarn::plan {

/// A piece of a volume; the same thing as object::StoredExtent, in planned form.
struct VolumeExtent {
  std::uint64_t volume = 0;
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;

  friend bool operator==(const VolumeExtent&, const VolumeExtent&) = default;
};

/// An object that becomes one member of a sample.
struct LooseMember {
  std::string_view name;
  std::uint64_t size_bytes = 0;
  Checksum checksum{};
  RankId rank = 0;
  std::uint32_t disk = 0;
  std::vector<VolumeExtent> extents;
};

/// The front of a record; key and content point into the record.
struct RecordHead {
  std::string_view key;
  std::string_view content;  ///< content_key.hpp; empty with other orders
  std::uint64_t members = 0;
  std::uint64_t tar_bytes = 0;  ///< in an output shard: headers, data and padding
  bool loose = false;
  std::uint64_t source = 0;    ///< of a shard sample; kLooseSource: loose
  std::uint64_t position = 0;  ///< of a shard sample: offset / 512 of its first entry
};
inline constexpr std::uint64_t kLooseSource = UINT64_MAX;  ///< loose samples come after those of shards

void append_shard_record(base::Encoder& to, const shard::Sample& sample, std::uint64_t source, std::string_view content = {});
/// `members` in the order in which they are to stand; at least one.
void append_loose_record(base::Encoder& to, std::string_view key, std::span<const LooseMember> members, std::string_view content = {});
void append_loose_member(base::Encoder& to, const LooseMember& member);

/// Reads records one after the other. A record that was not written by the functions above sets
/// failed() of `from`, as short ones do.
[[nodiscard]] RecordHead read_head(base::Decoder& from);

struct RecordParts {
  std::vector<shard::SampleExtent> extents;  ///< of head.source, when not loose
  std::vector<LooseMember> members;          ///< when loose
};
/// The whole record. @param parts is reused: its vectors are cleared first.
[[nodiscard]] RecordHead read_record(base::Decoder& from, RecordParts& parts);
[[nodiscard]] LooseMember read_loose_member(base::Decoder& from);

/// Bytes of a loose member in a tar.
[[nodiscard]] std::uint64_t loose_tar_bytes(const LooseMember& member);

}  // namespace tarn::plan
