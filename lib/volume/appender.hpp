// appender.hpp - writes members: into shared volumes (lanes) and solo volumes.
// Level 2 (volume). Any thread may append; each lane writes one member at a time.
//
// Invariants, which recovery and the committer rely on:
//  1. A volume is a gap-free sequence of members: a failed write is cut off again before the next one.
//  2. A sequence number is taken, its member written and its change put into Pending under one mutex (a lane's or the solo
//     one). cut() holds all of them: what it takes is everything up to one sequence number, nothing else.
//  3. What a change needs of memory is there before its member is written: one that is on the disk is pending.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/block_table.hpp"
#include "volume/file_cache.hpp"
#include "volume/group_sync.hpp"
#include "volume/headroom.hpp"
#include "volume/index.hpp"
#include "volume/member.hpp"
#include "volume/pending.hpp"
#include "volume/receipts.hpp"
#include "volume/write_trouble.hpp"

namespace tarn::volume {

/// A large object on its way into a volume of its own: `NNNNNNNN.tar.tmp`, data from data_offset on, then the hashes of its
/// blocks, header written last.
/// Destroying it before Appender::commit removes the file, but for one that is kept. One thread at a time.
class SoloFile {
 public:
  ~SoloFile();
  SoloFile(const SoloFile&) = delete;
  SoloFile& operator=(const SoloFile&) = delete;

  /// @cost a write of that size: give it 1 MiB or more.
  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes);
  /// Pads, writes the table of block hashes and the archive's trailer, and closes the file.
  [[nodiscard]] Result<void> finish();
  /// Finished, not yet committed: gets this path, on the disk's file system, and outlives the process until it is committed or somebody
  /// removes it. Appender::resume_solo() takes it up again. @errors io.
  [[nodiscard]] Result<void> keep_as(const std::string& path);
  /// Of resume_solo(): data that the file has already, in place of write(); `see` gets them. @errors corrupt: there are fewer; io.
  [[nodiscard]] Result<void> take_over(std::uint64_t size_bytes, const std::function<void(std::span<const std::byte>)>& see);
  /// Finished, not yet committed: the object's bytes as they lie in the file. @return fewer than asked only at the end.
  /// @cost opens the file each time: no descriptor is held between finish() and commit.
  [[nodiscard]] Result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> target) const;
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  friend class Appender;
  /// @param kept_path  of one that is resumed; empty: a new one.
  SoloFile(base::FileSystem& fs, Headroom& headroom, WriteTrouble& trouble, const std::string& directory, const Place& place, const Member& member,
           const std::string& kept_path)
      : fs_(fs),
        headroom_(headroom),
        trouble_(trouble),
        temporary_path_(kept_path.empty() ? volume_file_path(directory, place.volume) + ".tmp" : kept_path),
        kept_(!kept_path.empty()),
        place_(place),
        data_offset_(solo_data_offset(member)),
        created_ns_(member.modified_ns),
        table_(fs, block_side_path(directory, place.volume)) {}
  [[nodiscard]] Result<void> write_end();

  base::FileSystem& fs_;
  Headroom& headroom_;
  WriteTrouble& trouble_;
  std::string temporary_path_;
  bool kept_;          // it stays when this goes
  const Place place_;  // of the volume's begin
  const std::size_t data_offset_;
  const std::int64_t created_ns_;
  BlockTableBuilder table_;
  std::unique_ptr<base::File> file_;
  std::uint64_t size_bytes_ = 0;
  bool finished_ = false, committed_ = false;
};

class Appender {
 public:
  /// Where recovery found that writing goes on: in as many open volumes as there are lanes, those with the most room;
  /// the others are sealed.
  struct Start {
    std::uint64_t next_volume = 1;
    std::uint64_t sequence = 0;                         ///< the last one that was used
    std::map<std::uint64_t, VolumeState> open_volumes;  ///< indexed_bytes is the end of the last member
    std::vector<std::uint64_t> unsynced;                ///< what a killed process wrote may be in memory only
  };
  /// @param on_failed_sync  called once, by the thread that meets the first sync that fails; must not throw.
  Appender(base::FileSystem& fs, std::string directory, const base::Uuid& disk, FileCache& cache, Pending& pending, const Start& start,
           std::uint64_t volume_bytes_max, std::function<void()> on_failed_sync = {});

  /// Writes a member into a shared volume; fills in its sequence. The change is pending when it returns.
  /// @param receipt  of a bucket with durability sync: filled in for wait_durable(). nullptr: of another.
  /// @cost one pwritev.  @errors no_space, io: nothing has changed then.
  [[nodiscard]] Result<Record> append(Member& member, std::span<const std::byte> data, Receipt* receipt = nullptr) {
    return trouble_.watch(write_member(member, data, receipt, nullptr));
  }
  /// The same for an assembled object of `extents`, which stand in the index under other names by now. The member has the whole
  /// object's size and checksum; its own are filled in.
  [[nodiscard]] Result<Record> assemble(Member& member, const std::vector<Extent>& extents, Receipt* receipt = nullptr);

  /// @errors no_space, io.
  [[nodiscard]] Result<std::unique_ptr<SoloFile>> create_solo(const Member& member) { return trouble_.watch(open_solo(member, {})); }
  /// One that was kept by SoloFile::keep_as(), maybe by a process before this: as a new one with nothing written yet.
  /// @param member  name and options as they were then. @errors not_found, io.
  [[nodiscard]] Result<std::unique_ptr<SoloFile>> resume_solo(const Member& member, const std::string& kept_path) {
    return trouble_.watch(open_solo(member, kept_path));
  }
  /// Names a finished solo volume; fills in the member's sequence. @cost a write of a few KiB and a rename; with a receipt
  /// also a sync of the data.
  [[nodiscard]] Result<Record> commit_solo(SoloFile& solo, Member& member, Receipt* receipt = nullptr);
  /// Blocks until the change is on stable storage, together with all that wait at the time.
  /// @errors those of the sync: the change can be seen, but is not sure to be there after a loss of power. It is not tried again.
  [[nodiscard]] Result<void> wait_durable(const Receipt& receipt);
  /// Blocks until every change with a receipt that can be seen by now is on stable storage: what has been seen can be relied on.
  /// @cost the first time after a process that was killed, a sync of all it may have left.
  /// @errors those of every sync that failed since the disk was opened.
  [[nodiscard]] Result<void> settle();

  struct Cut {
    std::map<std::uint64_t, VolumeState> volumes;  ///< shared volumes that have grown or were sealed since the last cut
    std::vector<BucketChange> buckets;
    std::uint64_t sequence = 0;
  };
  /// Pending::swap() between two members, with how far each volume had got.
  [[nodiscard]] Cut cut();

  /// A number for a volume that somebody else writes, and later a note that it has to be synced. Removals that are written
  /// after this count the volume among those that may hold what they remove (Member::newest_volume).
  [[nodiscard]] std::uint64_t take_volume_number() noexcept { return next_volume_.fetch_add(1); }
  void note_unsynced(std::uint64_t volume);
  /// Whether a volume that is not written any more has been synced, or is being synced, or may have been by a process before this one.
  [[nodiscard]] bool may_be_durable(std::uint64_t volume) const;
  /// Seals an open volume before it is full. @return false: no lane writes it.  @errors no_space, io.
  [[nodiscard]] Result<bool> seal_early(std::uint64_t volume);

  /// fdatasync of everything written since the last sync, and of the directory.
  /// @errors also those of every sync that failed since the disk was opened.
  [[nodiscard]] Result<void> sync();
  /// Which writes the operating system has refused; empty: none.
  [[nodiscard]] std::string trouble() const { return trouble_.text(); }
  /// @errors of the first sync that failed.
  [[nodiscard]] Result<void> syncs_work() const { return trouble_.syncs_work(); }
  /// Removes volumes that never got a member. No appends after this.
  void close();

 private:
  struct Lane {
    std::atomic<bool> taken{false};  // by a writer that did not have to wait for another
    std::mutex mutex;                // guards the rest
    std::shared_ptr<base::File> file;
    std::shared_ptr<GroupSync> sync;  // of file
    std::uint64_t name_ticket = 0;    // of names_: the file's entry in the directory
    std::uint64_t volume = 0;
    std::uint64_t end = 0;
    VolumeNotes notes;
    std::optional<ErrorCode> torn;                 // a write failed for this, and what it has left is still to be cut off
    bool grown = false;                            // since the last cut
    std::map<std::uint64_t, VolumeState> retired;  // volumes this lane has left since the last cut
    std::vector<BucketChange> buckets;             // since the last cut
  };
  static constexpr std::size_t kLanes = 8;

  /// @param extents  of an assembled object.
  [[nodiscard]] Result<Record> write_member(Member& member, std::span<const std::byte> data, Receipt* receipt, const std::vector<Extent>* extents);
  [[nodiscard]] Result<std::unique_ptr<SoloFile>> open_solo(const Member& member, const std::string& kept_path);
  [[nodiscard]] Result<Record> name_solo(SoloFile& solo, Member& member, Receipt* receipt);
  [[nodiscard]] Result<void> sync_files();
  [[nodiscard]] Result<void> take_up(Lane& lane, std::uint64_t volume, const VolumeState& state);
  [[nodiscard]] Result<void> seal(Lane& lane, std::uint64_t volume, const VolumeState& state);

  class LaneHold;
  [[nodiscard]] LaneHold choose_lane();
  [[nodiscard]] Result<void> prepare_lane(Lane& lane, std::uint64_t member_bytes);
  void undo_write(Lane& lane, ErrorCode reason);
  void retire(Lane& lane, VolumeKind kind);
  [[nodiscard]] std::shared_ptr<GroupSync> group_of(std::shared_ptr<base::File> file);
  void use(Lane& lane, std::shared_ptr<base::File> file, std::uint64_t volume, const VolumeState& state);

  base::FileSystem& fs_;
  const std::string directory_;
  const base::Uuid disk_;
  const std::uint64_t volume_bytes_max_;
  Headroom headroom_;
  WriteTrouble trouble_;
  GroupSync names_;  // the directory of the volumes
  FileCache& cache_;
  Pending& pending_;
  Receipts receipts_;
  std::atomic<std::uint64_t> next_volume_;
  std::atomic<std::uint64_t> sequence_;
  std::array<Lane, kLanes> lanes_;
  std::mutex solo_mutex_;                 // invariant 2; locked after the lanes'
  std::mutex sync_mutex_;                 // one sync() at a time: one that finds nothing to do must not return before the other has done it
  std::atomic<bool> recovered_unsynced_;  // until the first sync(): a killed process may have left in memory what can be seen
  mutable std::mutex unsynced_mutex_;     // guards the rest
  std::vector<std::uint64_t> unsynced_;   // grows at its end; only sync() takes away
  std::size_t maybe_durable_;             // so many of its first: a sync of them is under way, has failed, or nobody knows
};

}  // namespace tarn::volume
