// disk.hpp - one disk: its directory, index, volumes and the thread that commits.
// Level 2 (volume). Any thread may call anything but close(). Readers never wait for writers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/limits.hpp"
#include "volume/appender.hpp"
#include "volume/committer.hpp"
#include "volume/compactor.hpp"
#include "volume/damage_list.hpp"
#include "volume/disk_directory.hpp"
#include "volume/file_cache.hpp"
#include "volume/index.hpp"
#include "volume/index_aside.hpp"
#include "volume/limited_file_system.hpp"
#include "volume/member.hpp"
#include "volume/pending.hpp"
#include "volume/record.hpp"
#include "volume/recovery.hpp"
#include "volume/volume_on_demand.hpp"
#include "volume/volume_pins.hpp"

namespace tarn::volume {

struct DiskOptions {
  std::uint64_t weight = 0;  ///< of a new disk; 0: the file system's capacity
  bool create = true;        ///< make the disk when the directory is missing or empty
  bool rebuild = false;      ///< make the index anew even when it looks good
  bool probe = false;        ///< look at the index in a child process first (index_probe.hpp); while there is one thread only
  std::uint64_t volume_bytes_max = limits::kVolumeBytesMax;
  CompactionOptions compaction = {};
  std::function<void(std::uint64_t, std::uint64_t)> progress;  ///< of the recovery: volumes done, in all
  SpaceLimits space;
};

class Disk {
 public:
  /// Locks, checks and recovers. @errors as DiskDirectory::open, and corrupt. @cost reads what was written since the last
  /// index commit; everything when the index is lost or the machine went down while the disk was in use, or when something
  /// could not be read at the last open. Fails with the old index in its place.
  [[nodiscard]] static Result<std::unique_ptr<Disk>> open(base::FileSystem& real, const std::string& directory, const DiskOptions& options);
  ~Disk();  ///< as close(); errors are logged

  [[nodiscard]] const DiskIdentity& identity() const noexcept { return directory_->identity(); }
  [[nodiscard]] const std::string& path() const noexcept { return directory_->path(); }
  [[nodiscard]] Result<void> set_store(const base::Uuid& store_id, const DiskSet& store_disks) {
    return directory_->set_store(store_id, store_disks);
  }
  [[nodiscard]] Result<void> set_layout(const DiskLayout& layout) { return directory_->set_layout(layout); }
  /// What its files are reached through, its quota included.
  [[nodiscard]] base::FileSystem& files() noexcept { return fs_; }
  [[nodiscard]] Result<base::Space> space() const { return fs_.space(path()); }
  [[nodiscard]] Result<IndexCounters> counters() const { return index_->counters(); }
  /// Counts what changes from now on, as long as the disk lives. Before the first change.
  void count_changes(ChangeCounter& counter) noexcept { pending_.count_in(counter); }
  /// What is wrong now, as one text; empty: nothing.
  [[nodiscard]] std::string trouble() const;
  /// What open() found wrong, and whether it made the index anew.
  [[nodiscard]] const std::vector<std::string>& found_troubles() const noexcept { return found_troubles_; }
  [[nodiscard]] bool rebuilt() const noexcept { return rebuilt_; }
  /// Whether a part of the disk could not be read: a later open may find more than there is now.
  [[nodiscard]] bool incomplete() const noexcept { return incomplete_; }
  /// Whether open() found anything wrong: what looks like garbage may have been needed by what was damaged.
  [[nodiscard]] bool doubtful() const noexcept { return !found_troubles_.empty(); }
  /// Moves the volumes that nothing but this object needs to quarantine/, instead of removing them with it. @errors io.
  [[nodiscard]] Result<void> set_aside(const Record& record);

  /// Writes a member into a shared volume: a small object, a removal, or a bucket's note; fills in sequence and size.
  /// @param receipt  as in Appender::append.
  /// @cost one write.  @errors no_space, io; the disk is as before then.
  [[nodiscard]] Result<Record> append(Member& member, std::span<const std::byte> data, Receipt* receipt = nullptr);
  [[nodiscard]] Result<std::unique_ptr<SoloFile>> create_solo(const Member& member) { return appender_->create_solo(member); }
  /// As Appender::resume_solo.
  [[nodiscard]] Result<std::unique_ptr<SoloFile>> resume_solo(const Member& member, const std::string& kept_path) {
    return appender_->resume_solo(member, kept_path);
  }
  [[nodiscard]] Result<Record> commit_solo(SoloFile& solo, Member& member, Receipt* receipt = nullptr);
  /// As Appender::assemble.
  [[nodiscard]] Result<Record> assemble(Member& member, const std::vector<Extent>& extents, Receipt* receipt = nullptr);
  /// As Appender::wait_durable.
  [[nodiscard]] Result<void> wait_durable(const Receipt& receipt) { return appender_->wait_durable(receipt); }
  /// As Appender::settle.
  [[nodiscard]] Result<void> settle() { return appender_->settle(); }

  /// @return nullopt: no such object.
  [[nodiscard]] Result<std::optional<Record>> find(std::string_view bucket, std::string_view key) const;
  /// The same for the fast path of readers, without an allocation. @return nullopt also where find() must tell.
  [[nodiscard]] std::optional<BriefRecord> find_brief(std::string_view bucket, std::string_view key) const;
  /// Index::scan over everything acknowledged so far. @cost also an index commit when something is pending.
  [[nodiscard]] Result<void> scan(std::string_view from, const Index::Visitor& visit);
  [[nodiscard]] Result<std::vector<BucketInfo>> buckets() const { return index_->buckets(); }
  [[nodiscard]] Result<std::shared_ptr<const base::File>> file(std::uint64_t volume) const { return cache_->get(volume); }
  [[nodiscard]] Result<std::map<std::uint64_t, VolumeState>> volumes() const { return index_->volumes(); }

  /// Remembers, for a bounded number of objects, that the bytes of this version matched their checksum since open().
  void note_verified(std::uint64_t sequence) const noexcept;
  [[nodiscard]] bool verified(std::uint64_t sequence) const noexcept;
  /// note_verified() will follow soon: the slot is on its way into the cache meanwhile (it is one of 512 KiB, and a store that
  /// misses holds up the next atomic operation).
  void expect_verified(std::uint64_t sequence) const noexcept { __builtin_prefetch(&(*verified_)[sequence % kVerifiedSlots], 1); }

  /// Remembers, for trouble(), that the bytes of this version did not match their checksum.
  void note_damaged(const ObjectName& name, std::uint64_t sequence) const { damages_.note(name, sequence); }

  /// A volume that is opened for each read. @param hold  of it, from hold_volumes().
  [[nodiscard]] std::shared_ptr<const base::File> file_on_demand(std::uint64_t volume, VolumePin hold) const {
    return std::make_shared<VolumeOnDemand>(*cache_, path(), volume, std::move(hold));
  }
  /// As VolumePins::hold.
  [[nodiscard]] VolumePin hold_volumes(std::vector<std::uint64_t> volumes) const { return pins_->hold(std::move(volumes)); }
  /// While one lives, what find() and scan() say of places in volumes stays readable; there is no compaction.
  [[nodiscard]] VolumePin pin_volumes() { return pins_->pin(); }
  [[nodiscard]] CompactionStats compaction() const { return compactor_->stats(); }
  /// Compacts on the caller's thread until nothing is worth it any more, whatever the rate. @errors as Compactor::round.
  [[nodiscard]] Result<void> compact();

  [[nodiscard]] Result<void> commit() { return committer_->commit_all(); }
  [[nodiscard]] Result<void> flush();
  /// No other call may run or follow.
  [[nodiscard]] Result<void> close();

 private:
  Disk(base::FileSystem& fs, std::unique_ptr<LimitedFileSystem> limited) : limited_(std::move(limited)), fs_(limited_ ? *limited_ : fs) {}
  [[nodiscard]] Result<bool> open_index();
  [[nodiscard]] Result<Recovered> make_index_anew(RecoveryOptions options, bool keep_old);
  [[nodiscard]] Result<void> mark_index();
  void start_threads(const CompactionOptions& compaction);
  void remove_volume(std::uint64_t volume);
  void distrust() noexcept;

  const std::unique_ptr<LimitedFileSystem> limited_;  // nullptr: nothing is asked for but what is always kept
  base::FileSystem& fs_;
  std::unique_ptr<DiskDirectory> directory_;
  std::unique_ptr<IndexAside> aside_;  // while open() runs; longer than the index: where that fails, the old one comes back
  std::unique_ptr<Index> index_;
  std::unique_ptr<FileCache> cache_;
  Pending pending_;
  std::unique_ptr<Appender> appender_;
  bool rebuilt_ = false;
  bool incomplete_ = false;                  // Recovered::incomplete: no compaction, it would remove what may be needed
  bool distrusted_ = false;                  // what could not be read was to be verified: the next open does it
  std::vector<std::string> found_troubles_;  // at open; constant since
  mutable DamageList damages_;
  std::unique_ptr<VolumePins> pins_;
  std::unique_ptr<Committer> committer_;  // its thread uses the others
  std::unique_ptr<Compactor> compactor_;  // last: its thread uses the committer
  /// Slot = sequence modulo size: exact, since a disk uses each sequence once; a newer one replaces an older one.
  static constexpr std::size_t kVerifiedSlots = 1 << 16;
  std::unique_ptr<std::array<std::atomic<std::uint64_t>, kVerifiedSlots>> verified_;
};

}  // namespace tarn::volume
