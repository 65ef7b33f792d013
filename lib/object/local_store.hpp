// local_store.hpp - one rank's objects over its disks.
// Level 3 (object). Any number of threads may call anything; readers never wait for writers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/options.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/file.hpp"
#include "base/limits.hpp"
#include "base/uuid.hpp"
#include "object/copy_terms.hpp"
#include "object/kept_bodies.hpp"
#include "object/object_service.hpp"
#include "object/pointers.hpp"
#include "object/staging.hpp"
#include "object/uploads.hpp"
#include "volume/compactor.hpp"
#include "volume/disk_directory.hpp"
#include "volume/disk_set.hpp"
#include "volume/volume_pins.hpp"

namespace tarn::object {

struct LocalStoreOptions {
  std::vector<std::string> directories;  ///< one per disk, at least one
  /// Fixed weight for new disks; 0: the file system's capacity.
  std::uint64_t weight = 0;
  /// A shared volume is sealed beyond this; small ones are for tests.
  std::uint64_t volume_bytes_max = limits::kVolumeBytesMax;
  volume::CompactionOptions compaction{limits::kCompactionBytesPerSecond};  ///< of each disk
  SpaceLimits space;                                                        ///< of each disk
};

struct LocalDisk {
  base::Uuid id;
  base::Uuid store_id;  ///< nil: a new disk, not yet stamped
  std::uint64_t weight = 0;
  std::string directory;  ///< absolute
  std::uint64_t objects = 0;
  std::uint64_t object_bytes = 0;
  base::Space space;
  std::string trouble;  ///< empty: healthy
  volume::CompactionStats compaction;
};

/// Where an object's bytes lie on its disk; what a neighbour needs to read them itself.
struct StoredExtent {
  std::uint64_t volume = 0;  ///< id; see volume_path()
  std::uint64_t offset = 0;  ///< in the volume file
  std::uint64_t length_bytes = 0;
  bool blocks = false;  ///< as in FileExtent

  friend bool operator==(const StoredExtent&, const StoredExtent&) = default;
};

struct StoredObject {
  ObjectInfo info;
  std::uint32_t disk = 0;      ///< index in directories
  std::uint64_t sequence = 0;  ///< of its disk; a newer version of the name has a larger one
  std::vector<StoredExtent> extents;
};

/// One version of an object with its files open.
struct OpenVersion {
  StoredObject stored;
  std::vector<FileExtent> extents;
};

/// "<directory>/volumes/00000017.tar"
[[nodiscard]] std::string volume_path(std::string_view directory, std::uint64_t volume);

class LocalStore {
 public:
  /// Locks, checks and recovers the disks; makes new ones where a directory is missing or empty.
  /// @errors busy (in use by another process; names its pid and host), denied, io, corrupt,
  ///         invalid (foreign files in the directory, newer format, disk of another store than its peers).
  /// @cost   opens each index; reads what was written after its last commit.
  [[nodiscard]] static Result<std::unique_ptr<LocalStore>> open(const LocalStoreOptions& options, base::FileSystem& fs = base::posix_file_system());
  ~LocalStore();  ///< as close(), errors are logged

  /// Stamps unstamped disks with the store's id, and all with the disks that the store consists of.
  /// @errors invalid: a disk already belongs to another store.
  [[nodiscard]] Result<void> adopt(const base::Uuid& store_id, const volume::DiskSet& store_disks = {});
  /// Counts changes of all disks from now on: objects put, replaced and removed. Before the first one; `counter` outlives this.
  void count_changes(volume::ChangeCounter& counter) noexcept;
  /// The store's disks as these disks remember them, those of other ranks and missing ones included.
  [[nodiscard]] volume::DiskSet known_disks() const;
  /// By disk.
  [[nodiscard]] std::vector<volume::DiskLayout> layouts() const;
  [[nodiscard]] Result<void> set_layout(std::uint32_t disk, const volume::DiskLayout& layout);
  [[nodiscard]] std::vector<LocalDisk> disks() const;
  /// By disk. @cost a look at each disk's table of volumes; no file system call.
  [[nodiscard]] std::vector<volume::CompactionStats> compaction() const;

  // Buckets are recorded on every disk.
  /// @errors exists.
  [[nodiscard]] Result<void> create_bucket(std::string_view bucket, std::int64_t created_ns, const BucketOptions& options = {});
  /// What other disks know of a bucket: made when it is missing here, its durability raised when it is lower.
  [[nodiscard]] Result<void> adopt_bucket(const BucketInfo& bucket);
  [[nodiscard]] Result<void> remove_bucket(std::string_view bucket);  ///< busy: objects or uploads are in it here
  [[nodiscard]] std::vector<BucketInfo> buckets() const;
  [[nodiscard]] bool has_bucket(std::string_view bucket) const;
  /// @errors bucket_not_found.
  [[nodiscard]] Result<BucketOptions> bucket_options(std::string_view bucket) const;

  /// `disk` is an index into directories: the caller knows the placement.
  [[nodiscard]] Result<ObjectInfo> put(std::uint32_t disk, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options,
                                       const CopyTerms& terms = {});
  [[nodiscard]] Result<std::unique_ptr<KeepingWriter>> create(std::uint32_t disk, const ObjectName& name, const PutOptions& options,
                                                              std::uint64_t size_hint);
  /// Adds bytes to the end of an object, in one step; without one it is a put. Options count for a new object only.
  /// @cost  an object of 1 MiB or more is not copied, but for what was appended last and is no longer than this; it is read once, to
  ///        be hashed, unless it was appended to a moment ago. @errors as put(); corrupt: the object is damaged; aborted: it was
  ///        replaced again and again meanwhile.
  [[nodiscard]] Result<ObjectInfo> append(std::uint32_t disk, const ObjectName& name, std::span<const std::byte> bytes,
                                          const PutOptions& options = {});
  /// Where objects are whose home is here.
  [[nodiscard]] Pointers& pointers() noexcept;
  /// What jobs keep for themselves.
  [[nodiscard]] Staging& staging() noexcept;
  /// What jobs have finished and not named.
  [[nodiscard]] KeptBodies& kept() noexcept;
  /// Objects that are put in parts.
  [[nodiscard]] Uploads& uploads() noexcept;
  /// @param version  as in ObjectService::remove. @cost with one: waits for the puts that are in their last step.
  [[nodiscard]] Result<void> remove(std::uint32_t disk, const ObjectName& name, const std::optional<Checksum>& version = std::nullopt);
  /// Removes a copy, if it is of this time or older. @return whether there was one. @errors as remove() but not_found; busy: somebody
  /// holds the name: try again.
  [[nodiscard]] Result<bool> remove_copy(std::uint32_t disk, const ObjectName& name, std::int64_t not_after_ns);
  /// While it lives, remove_copy() of this name is `busy`.
  [[nodiscard]] NameLocks::Hold hold_name(const ObjectName& name);
  /// Takes back a put that its caller has not acknowledged: as remove(), but works, without a wait, also on a disk whose syncs
  /// fail. @errors not_found.
  [[nodiscard]] Result<void> withdraw(std::uint32_t disk, const ObjectName& name);
  /// Index lookup. @errors not_found, bucket_not_found.
  [[nodiscard]] Result<StoredObject> find(std::uint32_t disk, const ObjectName& name) const;
  /// What each disk that has the name has; empty: none. @errors bucket_not_found, io.
  [[nodiscard]] Result<std::vector<StoredObject>> find_all(const ObjectName& name) const;
  [[nodiscard]] Result<std::unique_ptr<ObjectReader>> open_reader(std::uint32_t disk, const ObjectName& name) const;
  /// find() with the files of that version. @errors also corrupt: a volume is missing.
  [[nodiscard]] Result<OpenVersion> open_version(std::uint32_t disk, const ObjectName& name) const;
  /// A reader of a version that the caller holds open.
  [[nodiscard]] Result<std::unique_ptr<ObjectReader>> reader_of(const ObjectName& name, const StoredObject& version,
                                                                std::vector<FileExtent> extents) const;
  /// Reads a whole object, verified, with one allocation: the fast path for small ones.
  [[nodiscard]] Result<std::vector<std::byte>> get(std::uint32_t disk, const ObjectName& name) const;
  /// All disks merged, in key order.
  [[nodiscard]] Result<ListPage> list(std::string_view bucket, const ListOptions& options) const;
  /// Objects with keys that have this prefix, of all disks, in no particular order over disks, in key order within each;
  /// stops when `visit` returns false.
  [[nodiscard]] Result<void> for_each(std::string_view bucket, std::string_view prefix, const std::function<bool(const StoredObject&)>& visit) const;
  /// A volume of this store, open for reading (from a bounded cache).
  [[nodiscard]] Result<std::shared_ptr<const base::File>> volume_file(std::uint32_t disk, std::uint64_t volume) const;

  /// While they live, what find() and for_each() say of places in volumes stays readable, on all disks; there is no
  /// compaction, and the space of what is replaced or removed is not free yet. For work that keeps such places for long.
  [[nodiscard]] std::vector<volume::VolumePin> pin_volumes() const;
  /// Gives back the space of garbage now, as far as it is more than there may be, on the caller's thread. @errors as volume::Compactor::round.
  [[nodiscard]] Result<void> compact();
  /// Everything acknowledged is on stable storage and in the index.
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] Result<void> close();

 private:
  class Impl;
  explicit LocalStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn::object
