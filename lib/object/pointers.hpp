// pointers.hpp - where an object is that was not put on the disk its key computes to: a note on that disk, its home.
// Level 3 (object). Any thread.
//
//   bucket ".at"  key BUCKET/KEY   24 bytes: the disk's id, and when the version there was written (i64, little endian)
//
// A home has an object or a pointer to it. Who places an object elsewhere writes it there first and then the pointer, so that
// a reader finds the old version or the new one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/uuid.hpp"
#include "object/bucket_table.hpp"
#include "object/copy_terms.hpp"
#include "object/disk_table.hpp"

namespace tarn::object {

inline constexpr std::string_view kPointersBucket = ".at";

struct Pointer {
  base::Uuid disk;
  std::int64_t modified_ns = 0;

  friend bool operator==(const Pointer&, const Pointer&) = default;
};

/// What a home knows of an object.
struct Whereabouts {
  std::optional<Pointer> pointer;
  std::optional<std::int64_t> own_ns;  ///< of the version that it has itself

  /// The newest version that it knows of; 0: none.
  [[nodiscard]] std::int64_t newest_ns() const noexcept { return std::max(pointer ? pointer->modified_ns : 0, own_ns.value_or(0)); }
};

class Pointers {
 public:
  Pointers(const DiskTable& disks, BucketTable& buckets, NameLocks& versions) : disks_(disks), buckets_(buckets), versions_(versions) {}

  /// @errors io, corrupt.
  [[nodiscard]] Result<Whereabouts> find(std::uint32_t disk, const ObjectName& name) const;
  struct Outcome {
    bool set = false;                 ///< false: the home knows of a later version; the one that was to be pointed to is out of date
    std::optional<Pointer> previous;  ///< to another disk, where the version of then is garbage now
  };
  /// Also removes an older version that the disk itself has, unless the pointer is to this disk: then it only says that it was placed here. @errors
  /// bucket_not_found, no_space, io.
  [[nodiscard]] Result<Outcome> set(std::uint32_t disk, const ObjectName& name, const Pointer& pointer);
  /// Removes it, if it is of this time or older. @return what it was. @errors as set().
  [[nodiscard]] Result<std::optional<Pointer>> take(std::uint32_t disk, const ObjectName& name, std::int64_t not_after_ns);
  /// All on a disk, in order of names. Stops at the first error of `visit`.
  [[nodiscard]] Result<void> for_each(std::uint32_t disk, const std::function<Result<void>(const ObjectName&, const Pointer&)>& visit) const;

 private:
  const DiskTable& disks_;
  BucketTable& buckets_;
  NameLocks& versions_;
};

}  // namespace tarn::object
