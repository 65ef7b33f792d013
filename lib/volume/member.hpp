// member.hpp - one member of a volume: an object, a note that an object or bucket came or went, an object's block hashes, or
// the list of an assembled object's extents.
// Level 2 (volume). Value types and pure functions; any thread. docs/FORMATS.md draws the bytes.
//
//   header = [ 'x' block | pax records, padded to blocks | ustar block ], then data, padded to blocks
//
// The 'x' block's name is "PaxHeaders/<disk id>/<volume number>", with "/solo" behind it where the member has the
// volume to itself. `user.tarn.hdr` is the XXH3-64, seeded with the member's offset, of the whole header with that
// value's 16 digits as '0'. So a header is believed only on its own disk, in its own volume, at its own offset:
// a volume that a user stores as an object never looks like members of the volume it lies in.
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
#include <tarn/result.hpp>

#include "base/limits.hpp"
#include "base/uuid.hpp"
#include "volume/tar_format.hpp"

namespace tarn::volume {

/// blocks: the table of the object before it (block_table.hpp). It has neither name nor sequence: it belongs to its volume.
/// assembled: an object whose bytes lie in other volumes; the member's own data list them (extent_list.hpp).
enum class MemberKind : std::uint8_t { object, deleted, bucket_created, bucket_removed, blocks, assembled };

struct Member {
  MemberKind kind = MemberKind::object;
  ObjectName name;  ///< key is empty for buckets, both are for blocks
  std::uint64_t sequence = 0;
  std::uint64_t size_bytes = 0;
  Checksum checksum{};
  std::int64_t modified_ns = 0;
  std::string content_type;
  std::map<std::string, std::string> user_metadata;
  bool solo = false;
  BucketOptions bucket;  ///< written for buckets only
  /// Of a removal: no volume with a larger number holds an older version. UINT64_MAX: not known.
  std::uint64_t newest_volume = 0;
  /// Of the whole object, where that is not what the member's data are: assembled ones only.
  std::uint64_t object_bytes = 0;
  Checksum object_checksum{};

  /// Whether it is a version of an object.
  [[nodiscard]] bool is_object() const noexcept { return kind == MemberKind::object || kind == MemberKind::assembled; }
  [[nodiscard]] bool is_bucket_note() const noexcept { return kind == MemberKind::bucket_created || kind == MemberKind::bucket_removed; }
  friend bool operator==(const Member&, const Member&) = default;
};

/// Where a header lies; part of what its hash covers.
struct Place {
  base::Uuid disk;
  std::uint64_t volume = 0;
  std::uint64_t offset = 0;
};

inline constexpr std::size_t kHeaderBytesMax = 64 * limits::KiB;  ///< a longer one is garbage
inline constexpr std::size_t kContentTypeBytesMax = 1024;
inline constexpr std::size_t kMetadataNameBytesMax = 200;  ///< "user.tarn.meta.NAME" must fit into Linux' 255

/// @errors invalid: metadata longer than 2,048 bytes in all, or a name that no header could carry.
[[nodiscard]] Result<void> check_options(const PutOptions& options);

/// "bucket/key" as a path that tar extracts below the current directory whatever the key: components "", ".", ".."
/// and those that begin with '%' are escaped, long ones are cut. One to one; the exact key is in user.tarn.key.
[[nodiscard]] std::string member_path(const Member& member);

/// Header bytes. @param data_offset  from the header's begin; 0: as short as possible.
[[nodiscard]] std::vector<std::byte> encode_header(const Member& member, const Place& place, std::size_t data_offset = 0);
/// kSoloDataOffset, or the first doubling of it that holds this member's header whatever its size and sequence.
[[nodiscard]] std::size_t solo_data_offset(const Member& member);

/// Length of the header that begins with this block; nullopt when it is not the begin of a member of `disk` and `volume`.
[[nodiscard]] std::optional<std::size_t> header_length(std::span<const std::byte, tar::kBlockBytes> first, const Place& place);
/// Whether bytes that are fewer than a block can be the begin of a header of `disk` and `volume`.
[[nodiscard]] bool begins_like_header(std::span<const std::byte> bytes, const Place& place);
/// A whole header, its hash verified; nullopt when anything about it is wrong.
[[nodiscard]] std::optional<Member> decode_header(std::span<const std::byte> header, const Place& place);

}  // namespace tarn::volume
