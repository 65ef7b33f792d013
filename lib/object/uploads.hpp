// uploads.hpp - objects that are put in parts, in any order and by any number of writers, and become visible in one step.
// Level 3 (object). Any thread.
//
//   begin -> part* -> complete: the object is there, its parts are its extents, nothing was copied
//                 \-> abort: nothing is left, the space is free
//
// Parts are objects of a bucket that nobody can name, on the disk where the object will be (upload_keys.hpp). Completion writes a list
// of their extents (volume/extent_list.hpp) and takes their names away; a solo volume lives on while anything points to it.
//
// Invariants:
//  1. While an upload's note is there its parts stay. What removes them removes the note first, on stable storage in a bucket with
//     durability sync; parts without a note are removed when the store is opened.
//  2. A part gets its name, and an upload is completed or aborted, never at the same time (guard_).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "object/bucket_table.hpp"
#include "object/disk_table.hpp"
#include "object/upload_keys.hpp"
#include "object/writer_memory.hpp"

namespace tarn::object {

struct PartInfo {
  std::uint32_t number = 0;
  std::uint64_t size_bytes = 0;
  Checksum checksum{};
  std::int64_t modified_ns = 0;

  friend bool operator==(const PartInfo&, const PartInfo&) = default;
};

/// What the client says that the object consists of.
struct WantedPart {
  std::uint32_t number = 0;
  std::optional<Checksum> checksum;  ///< nullopt: whatever was uploaded last under this number
};

class Uploads {
 public:
  Uploads(const DiskTable& disks, BucketTable& buckets, std::shared_ptr<WriterMemory> memory)
      : disks_(disks), buckets_(buckets), memory_(std::move(memory)) {}

  /// `disk` is where the object will be: an index into directories, as in LocalStore::put. @errors bucket_not_found, invalid, no_space, io.
  [[nodiscard]] Result<UploadInfo> begin(std::uint32_t disk, const ObjectName& name, const PutOptions& options);
  /// A part's body, in a volume of its own whatever its size. Replaces a part of the same number when it is committed; the key of what
  /// commit() returns means nothing. @param number  1 to 10,000, in the order of the object.
  /// @errors not_found: no such upload (commit() finds that out, too), invalid, no_space, io.
  [[nodiscard]] Result<std::unique_ptr<ObjectWriter>> part(std::uint32_t disk, const ObjectName& name, std::string_view id, std::uint32_t number,
                                                           std::uint64_t size_hint);
  /// In order of number. @errors not_found.
  [[nodiscard]] Result<std::vector<PartInfo>> parts(std::uint32_t disk, const ObjectName& name, std::string_view id) const;
  /// Those of a bucket that are not complete, of all disks, in order of key.
  [[nodiscard]] Result<std::vector<UploadInfo>> list(std::string_view bucket) const;

  /// Makes the object of these parts, in their order, visible in one step; parts that are not among them are removed.
  /// @param parts  numbers that rise.
  /// @errors not_found: no such upload; invalid: no parts, not in order, one that was never uploaded or is another; aborted: a part was
  ///         uploaded again meanwhile; corrupt: a part is damaged, upload it again; no_space, io. The upload is as before then;
  ///         after the last two the object may be there: complete it again.
  /// @cost   reads all bytes once, to verify and hash them; writes 40 bytes for each part.
  [[nodiscard]] Result<ObjectInfo> complete(std::uint32_t disk, const ObjectName& name, std::string_view id, std::span<const WantedPart> parts);
  /// Removes the parts. Their space is free when it returns, but for what readers hold. @errors not_found, io.
  [[nodiscard]] Result<void> abort(std::uint32_t disk, const ObjectName& name, std::string_view id);

  /// Parts that no upload needs, which a process that was killed has left; those of a disk that is damaged go to quarantine/, since
  /// their upload, or the object that they became, may be what was damaged. What cannot be removed stays until the next start.
  /// Before anything else is called.
  void remove_orphans();

 private:
  [[nodiscard]] static Result<volume::Record> need_upload(const volume::Disk& on, const ObjectName& name, std::string_view id);
  [[nodiscard]] static Result<std::vector<volume::Record>> find_parts(const volume::Disk& on, std::string_view id, std::span<const WantedPart> parts);
  [[nodiscard]] static Result<void> remove_parts(volume::Disk& on, std::string_view id);
  [[nodiscard]] static Result<void> remove_orphans_of(volume::Disk& on);

  const DiskTable& disks_;
  BucketTable& buckets_;
  const std::shared_ptr<WriterMemory> memory_;
  std::shared_mutex guard_;  // invariant 2: parts hold it shared; locked before that of the buckets
};

}  // namespace tarn::object
