// disk_directory.hpp - who a disk's directory belongs to: its identity (disk.json) and its user (lock).
// Level 2 (volume). One thread at a time.
//
//   <dir>/disk.json   {"format": 1, "disk": uuid, "store": uuid or "", "weight": bytes, "disks": [those of the store]}
//   <dir>/lock        flock(2) while in use; {"pid", "host", "boot", "clean"}: who, under which boot of the machine, and
//                     whether it ended with everything on stable storage
//   <dir>/volumes/    NNNNNNNN.tar
//   <dir>/index/      LMDB
//   <dir>/kept/       bodies that an interrupted job has finished (object/kept_bodies.hpp)
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/disk_set.hpp"

namespace tarn::volume {

inline constexpr std::uint64_t kFormatVersion = 1;

/// How the disk stands to the others of its store; docs/ARCHITECTURE.md, "A store that has changed".
///
///   in disk.json:  "layout": {"epoch": 3, "disks": hash, "places": hash, "settled": true, "stale": false}
struct DiskLayout {
  std::uint64_t epoch = 0;   ///< counts the sets of disks that the store has had; 0: never opened with others
  std::uint64_t disks = 0;   ///< hash of the set of that epoch
  std::uint64_t places = 0;  ///< hash of how it was spread over ranks and nodes
  bool settled = false;      ///< every object is where that set says
  bool stale = false;        ///< the disk was away for an epoch, and has not been compared with the others since

  friend bool operator==(const DiskLayout&, const DiskLayout&) = default;
};

struct DiskIdentity {
  base::Uuid id;
  base::Uuid store_id;  ///< nil: not stamped yet
  std::uint64_t weight = 0;
  DiskSet store_disks;  ///< of its store, itself included, as far as it has seen them; empty: never opened with others
  DiskLayout layout;
};

class DiskDirectory {
 public:
  /// Locks the directory and reads or makes its identity. A missing directory is made (its parent must exist).
  /// @param weight  of a new disk; 0: the file system's capacity.
  /// @errors busy: another process has it (named); invalid: foreign files, or a newer format; corrupt: volumes or an index without
  ///         an identity, an identity without volumes; denied; io; no_space.
  [[nodiscard]] static Result<std::unique_ptr<DiskDirectory>> open(base::FileSystem& fs, const std::string& path, std::uint64_t weight,
                                                                   bool create = true);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }  ///< absolute
  [[nodiscard]] std::string index_path() const { return path_ + "/index"; }
  [[nodiscard]] std::string volumes_path() const { return path_ + "/volumes"; }
  [[nodiscard]] const DiskIdentity& identity() const noexcept { return identity_; }
  /// Notes the store that the disk belongs to and the store's disks (none: those it knows stay). @errors invalid: it belongs to another store.
  [[nodiscard]] Result<void> set_store(const base::Uuid& store_id, const DiskSet& store_disks = {});

  /// @errors io, no_space, denied: the old one stays.
  [[nodiscard]] Result<void> set_layout(const DiskLayout& layout);

  /// Whether what the last user wrote can be trusted to be there: it closed cleanly, or the machine has not been
  /// restarted since (then the page cache kept what a killed process wrote), and no sync of it has failed. Until
  /// set_trustworthy(true), also for the next open(): a recovery that was interrupted begins anew.
  [[nodiscard]] bool trustworthy() const noexcept { return trustworthy_; }
  /// True: all volumes have been read and verified. False: a sync has failed, so what can be read may not be on the disk.
  [[nodiscard]] Result<void> set_trustworthy(bool trustworthy);
  /// Whether the last user closed it, with everything on stable storage.
  [[nodiscard]] bool was_clean() const noexcept { return was_clean_; }
  /// Which index the disk was last used with (Index::complete); empty: not known.
  [[nodiscard]] const std::string& index_mark() const noexcept { return index_mark_; }
  [[nodiscard]] Result<void> set_index_mark(const std::string& mark);
  /// Says so for the next open(): everything is on stable storage.
  [[nodiscard]] Result<void> mark_clean();

 private:
  DiskDirectory(base::FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  [[nodiscard]] Result<void> take_lock();
  [[nodiscard]] Result<void> write_lock_text(bool clean, bool trustworthy);
  [[nodiscard]] Result<void> load_or_make_identity(std::uint64_t weight, bool create);
  [[nodiscard]] Result<bool> holds_index();
  [[nodiscard]] Result<void> need_volumes();
  [[nodiscard]] Result<void> write_identity();

  base::FileSystem& fs_;
  std::string path_;
  std::unique_ptr<base::File> lock_;
  std::mutex text_mutex_;  // guards the text in lock_
  DiskIdentity identity_;
  std::string index_mark_;
  std::atomic<bool> trustworthy_{true};
  bool was_clean_ = false;
};

}  // namespace tarn::volume
