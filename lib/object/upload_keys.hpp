// upload_keys.hpp - where the uploads that are not complete, and their parts, stand in a disk's index.
// Level 3 (object). Pure functions but for the last two, which read an index; any thread.
//
//   bucket ".uploads"  key ID/BUCKET/KEY   an object without bytes, with content type and metadata of the object that is to come
//   bucket ".parts"    key ID/NUMBER       a part, five digits, in a solo volume whatever its size
//
// A part counts only while its upload's note is there: parts without one are garbage of a process that was killed. Pieces that are
// appended to an object are parts that never have one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "object/own_objects.hpp"
#include "volume/disk.hpp"

namespace tarn::object {

inline constexpr std::string_view kUploadsBucket = ".uploads", kPartsBucket = ".parts";

/// One that is not complete.
struct UploadInfo {
  std::string id;   ///< a UUID
  ObjectName name;  ///< of the object that is to come
  std::int64_t started_ns = 0;
  PutOptions options;

  friend bool operator==(const UploadInfo&, const UploadInfo&) = default;
};

[[nodiscard]] ObjectName upload_name(std::string_view id, const ObjectName& name);
[[nodiscard]] ObjectName part_name(std::string_view id, std::uint32_t number);
/// The upload's id, of a key of either bucket.
[[nodiscard]] std::string_view upload_id_of(std::string_view key) noexcept;
/// The number in a part's key; nullopt: it is none.
[[nodiscard]] std::optional<std::uint32_t> part_number_of(std::string_view key) noexcept;
[[nodiscard]] std::optional<ObjectName> object_of_upload(std::string_view key);

/// Those of a bucket, or of all; in order of id. @cost a look at every upload of the disk. @errors of the index.
[[nodiscard]] Result<std::vector<UploadInfo>> uploads_on(volume::Disk& disk, std::string_view bucket);
/// Of an upload, or of all: keys and records, in order. @errors of the index.
[[nodiscard]] Result<std::vector<OwnObject>> parts_on(volume::Disk& disk, std::string_view id);

}  // namespace tarn::object
