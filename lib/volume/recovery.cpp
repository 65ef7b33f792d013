#include "volume/recovery.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "volume/block_table.hpp"
#include "volume/extent_list.hpp"
#include "volume/file_cache.hpp"
#include "volume/file_window.hpp"
#include "volume/part_proof.hpp"
#include "volume/patient_file.hpp"
#include "volume/record.hpp"
#include "volume/scanner.hpp"

namespace tarn::volume {

namespace {

/// More than the sequences that what cannot be read may have: who writes from there on is newer, whatever comes to light.
constexpr std::uint64_t kHiddenSequences = 1 << 20;
constexpr const char* kHidden = "what they hold is lost, or an older version of it shows, unless a later start can read them";
/// The index's mark while it is not complete: `lock` never says so.
constexpr const char* kIncomplete = "incomplete";

class Recovery {
 public:
  Recovery(base::FileSystem& fs, std::string directory, const base::Uuid& disk, Index& index, const RecoveryOptions& options)
      : fs_(fs), directory_(std::move(directory)), disk_(disk), index_(index), options_(options) {}

  Result<Recovered> run() {
    TARN_TRY(known_, index_.volumes());
    TARN_TRY(const auto counters, index_.counters());
    committed_ = counters.sequence;
    out_.start.sequence = committed_;
    out_.start.next_volume = counters.volume + 1;
    TARN_TRY(const auto volumes, list_volumes());
    if (options_.unclean) out_.start.unsynced = volumes;
    std::uint64_t done = 0;
    for (const std::uint64_t volume : volumes) {
      out_.start.next_volume = std::max(out_.start.next_volume, volume + 1);
      TARN_CHECK(recover_volume(volume));
      if (options_.progress) options_.progress(++done, volumes.size());
    }
    for (const auto& [volume, state] : known_) {
      out_.start.next_volume = std::max(out_.start.next_volume, volume + 1);
      if (std::binary_search(volumes.begin(), volumes.end(), volume)) continue;
      if (state.live_bytes == 0) {
        TARN_CHECK(index_.forget_volume(volume));
      } else {
        trouble(volume, "is missing; " + base::format_size(state.live_bytes) + " of objects cannot be read");
      }
    }
    TARN_CHECK(judge_assembled());
    if (out_.incomplete) TARN_CHECK(allow_for_hidden());
    TARN_CHECK(commit());
    if (options_.rebuild) {
      TARN_CHECK(finish_rebuild());
      TARN_CHECK(note_missing_parts(volumes));
    }
    if (options_.whole) TARN_CHECK(options_.whole());
    if (!out_.incomplete) TARN_CHECK(remove_dead(volumes));
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string path(std::uint64_t volume) const { return volume_file_path(directory_, volume); }
  void trouble(std::uint64_t volume, const std::string& what) {
    out_.troubles.push_back(path(volume) + ": " + what);
    base::log_warn(out_.troubles.back());
  }

  /// Sorted. Solo volumes that were never finished are removed.
  Result<std::vector<std::uint64_t>> list_volumes() {
    TARN_TRY(const auto names, fs_.list(directory_ + "/volumes"));
    std::vector<std::uint64_t> volumes;
    for (const auto& name : names) {
      const std::uint64_t volume = volume_number(name);
      if (volume != UINT64_MAX) {
        volumes.push_back(volume);
      } else if (is_unfinished(name)) {
        const std::string left = directory_ + "/volumes/" + name;
        if (auto removed = fs_.remove(left); !removed && !fs_.list(left)) return fail(removed.error());  // a directory is not ours
      } else {
        base::log_warn(directory_ + "/volumes/" + name + ": not a volume; left alone");
      }
    }
    std::sort(volumes.begin(), volumes.end());
    return volumes;
  }

  Result<void> recover_volume(std::uint64_t volume) {
    const auto known = known_.find(volume);
    const bool is_known = known != known_.end();
    if (is_known && known->second.kind != VolumeKind::open) return {};
    auto opened = fs_.open(path(volume), base::OpenMode::read_write);
    if (!opened && opened.error().code == ErrorCode::io) opened = fs_.open(path(volume), base::OpenMode::read_write);
    if (!opened && opened.error().code == ErrorCode::io) {
      if (fs_.list(path(volume))) {
        trouble(volume, "is a directory, not a volume; left alone");
        return {};
      }
      trouble(volume, "cannot be opened (" + opened.error().message + "); " + kHidden);
      out_.incomplete = true;
      return {};
    }
    if (!opened) return fail(std::move(opened).error());
    PatientFile file(std::move(*opened));
    TARN_TRY(const std::uint64_t file_bytes, file.size());
    if (options_.verify_data) base::drop_cached_pages(file);
    const std::uint64_t begin = is_known ? known->second.indexed_bytes : 0;
    if (file_bytes < begin) {
      trouble(volume, "is " + std::to_string(begin - file_bytes) + " bytes shorter than the index says; objects in its end cannot be read");
      return {};
    }
    if (file_bytes == 0) return fs_.remove(path(volume));
    return scan(volume, file, begin, is_known ? &known->second : nullptr);
  }

  /// @param known  what the index says of it; nullptr: it does not know the volume.
  Result<void> scan(std::uint64_t volume, PatientFile& file, std::uint64_t begin, const VolumeState* known) {
    VolumeNotes notes = known != nullptr ? known->notes : VolumeNotes();
    bool solo = false, orphan = false, named = false;  // named: a member that is more than a table of hashes
    not_whole_ = false;
    std::uint64_t members = 0;
    TARN_TRY(const auto result, scan_volume(file, disk_, volume, begin, [&](const ScannedMember& found) -> Result<void> {
               ++members;
               solo |= found.member.solo;
               if (found.member.kind == MemberKind::blocks) return {};  // of the object before it
               named = true;
               if (found.member.solo && is_own_bucket(found.member.name.bucket)) parts_.insert(volume);
               notes.add(found.member, found.end_offset - found.header_offset);
               // The index has seen this object come and go; the process ended before its volume was removed.
               if (found.member.solo && !options_.rebuild && found.member.sequence <= committed_) {
                 TARN_TRY(const bool current, is_copy(found.member));
                 orphan = !current;
                 if (current) trouble(volume, "is not in the index's table of volumes, although it holds an object; rebuild the index");
                 return {};
               }
               return take(volume, file, found);
             }));
    out_.members += members;
    if (orphan) {
      dead_.push_back(volume);
      return {};
    }
    const bool unreadable = note_unreadable(volume, file, result);
    if (options_.verify_data && !named && !unreadable && !(result.cut_short && members == 0)) {
      TARN_TRY(const bool settled, settle_nameless(volume, file));
      if (settled) return {};
    }
    for (const Damage& damage : result.damages)
      trouble(volume, "bytes " + std::to_string(damage.offset) + " to " + std::to_string(damage.offset + damage.length_bytes) +
                          " are damaged; what they held is lost, or an older version of it shows");
    if (solo && not_whole_ && !unreadable) return set_aside(volume);
    if (solo) return {};  // Index::commit enters it with its object
    if (unreadable) {     // left as it is; what is believed of it is in the index
      if (known != nullptr || members > 0) batch_.volumes[volume] = {VolumeKind::sealed, result.end_offset, 0, notes};
      return {};
    }
    return settle_end(volume, file, result, notes, known != nullptr || members > 0);
  }

  /// Names what the disk did not give. Where that is not inside the data of a member that was found, there may be others.
  /// @return whether there is anything.
  bool note_unreadable(std::uint64_t volume, const PatientFile& file, const ScanResult& result) {
    for (const auto& [begin, end] : file.unreadable()) {
      const bool hides = end > result.end_offset || std::any_of(result.damages.begin(), result.damages.end(), [b = begin, e = end](const Damage& d) {
                           return b < d.offset + d.length_bytes && e > d.offset;
                         });
      out_.incomplete |= hides;
      trouble(volume, "bytes " + std::to_string(begin) + " to " + std::to_string(end) + " cannot be read (" + file.reason() + "); " +
                          (hides ? kHidden : "they belong to an object that can be found, but not read"));
    }
    return !file.unreadable().empty();
  }

  /// Before what was found gets into the index: from now on it does not count as complete, and what is written next is newer than what is hidden.
  Result<void> allow_for_hidden() {
    if (options_.rebuild && out_.members == 0)
      return fail(ErrorCode::io, directory_ + ": nothing can be read of its volumes: " + out_.troubles.front());
    out_.start.sequence += kHiddenSequences;
    return index_.set_complete(disk_, kIncomplete);
  }

  /// After a loss of power: a volume whose first header never got to the disk, as that of a large object, which is written last.
  /// @return false: it may be somebody else's.
  Result<bool> settle_nameless(std::uint64_t volume, const PatientFile& file) {
    std::array<std::byte, tar::kBlockBytes> first{};
    TARN_CHECK(file.read_at(0, first));
    if (tar::decode_ustar(first) && !header_length(first, Place{disk_, volume, 0})) return false;
    TARN_TRY(const bool empty, is_zero(file, 0));
    trouble(volume, std::string("what was being written to it when the power went, or what it held, is lost: it has no header") +
                        (empty ? ", nothing but zeros, and is removed" : ""));
    TARN_CHECK(empty ? fs_.remove(path(volume)) : set_aside(volume));
    return true;
  }

  /// From `offset` to the end.
  static Result<bool> is_zero(const base::File& file, std::uint64_t offset) {
    FileWindow window(file);
    while (true) {
      TARN_TRY(const auto bytes, window.at(offset, limits::kTarBlockBytes * 8));
      if (bytes.empty()) return true;
      if (!tar::is_zero(bytes)) return false;
      offset += bytes.size();
    }
  }

  /// A large object that is not what was written, or not yet, may be all that is left of it: the next open would take its volume
  /// for one that was replaced.
  Result<void> set_aside(std::uint64_t volume) {
    TARN_TRY(const std::string aside, set_volume_aside(fs_, directory_, volume));
    trouble(volume, "is kept as " + aside + ": remove it when nothing of it is needed");
    return {};
  }

  /// Decides what becomes of a shared volume's end: cut off, sealed, or written on.
  Result<void> settle_end(std::uint64_t volume, base::File& file, const ScanResult& result, const VolumeNotes& notes, bool ours) {
    VolumeState state{VolumeKind::open, result.end_offset, 0, notes};
    bool cut_off = result.cut_short;
    if (!cut_off && result.torn_bytes > 0 && options_.verify_data && ours) {
      // Nobody can tell what was never written from what has become unreadable. The volume had been sealed: it is not for others to write on.
      TARN_TRY(const bool empty, is_zero(file, result.end_offset));
      cut_off = empty || !result.trailer;
      if (cut_off)
        trouble(volume, "bytes from " + std::to_string(result.end_offset) + " on (" + std::to_string(result.torn_bytes) +
                            ") are cut off: what was written there last is lost, or an older version of it shows");
    }
    if (result.torn_bytes > 0 && cut_off) {
      TARN_CHECK(file.truncate(result.end_offset));
      if (result.end_offset == 0) return fs_.remove(path(volume));
    } else if (result.torn_bytes > 0) {
      trouble(volume, "bytes from " + std::to_string(result.end_offset) + " on are damaged" + (ours ? "" : " or not Tarn's") + "; left alone");
      if (!ours) return {};
      state.kind = VolumeKind::sealed;
    } else if (result.trailer) {
      state.kind = VolumeKind::sealed;
    }
    if (state.kind == VolumeKind::open) out_.start.open_volumes[volume] = state;
    batch_.volumes[volume] = state;
    return {};
  }

  Result<void> take(std::uint64_t volume, const PatientFile& file, const ScannedMember& found) {
    const Member& member = found.member;
    out_.start.sequence = std::max(out_.start.sequence, member.sequence);
    if (!options_.rebuild && member.sequence <= committed_) return {};
    if (member.kind == MemberKind::deleted && member.newest_volume != UINT64_MAX) meet(member.newest_volume);
    std::vector<Extent> extents;
    if (member.is_object() && (options_.verify_data || member.kind == MemberKind::assembled)) {
      TARN_TRY(const bool have, is_copy(member));
      if (have) return {};
      TARN_TRY(const Whole whole, is_whole(file, found, extents));
      if (whole == Whole::unknown) out_.incomplete = true;  // who reads it is told that it cannot be read
      if (whole == Whole::unknown && member.kind == MemberKind::assembled && extents.empty()) return {};
      if (whole == Whole::no) {
        not_whole_ = true;
        trouble(volume, "object " + member.name.bucket + "/" + member.name.key + " was not written whole; an older version of it may show");
        return {};
      }
    }
    if (member.is_bucket_note()) {
      BucketChange change{member.name.bucket, member.sequence, std::nullopt, member.bucket};
      if (member.kind == MemberKind::bucket_created) change.created_ns = member.modified_ns;
      batch_.buckets.push_back(std::move(change));
      return {};
    }
    Change change{index_key(member.name.bucket, member.name.key), member.sequence, std::nullopt};
    if (member.is_object()) {
      TARN_TRY(change.record, record_of(volume, file, found, std::move(extents)));
    }
    if (options_.verify_data && member.kind == MemberKind::assembled) {  // its parts may come later, and there may be newer versions
      assembled_[change.key].push_back(std::move(*change.record));
      return {};
    }
    Change& kept = changes_[change.key];
    if (kept.sequence < change.sequence) std::swap(kept, change);
    if (change.record) change.record->for_each_place([&](const Extent& extent) { batch_.replaced.push_back(extent); });
    // Memory stays bounded in a rebuild; a catch-up is short by itself and must go in whole, since the index does not
    // remember the removals in between.
    if (options_.rebuild && changes_.size() >= limits::kIndexBatchRecordsMax) return commit();
    return {};
  }

  /// Whether all bytes of an object are what was written.
  /// @param extents  of an assembled object: set when its list can be read.
  Result<Whole> is_whole(const PatientFile& file, const ScannedMember& found, std::vector<Extent>& extents) {
    const Member& member = found.member;
    TARN_TRY(const auto checksum, checksum_of(file, found.data_offset, member.size_bytes));
    if (file.lacks(found.data_offset, member.size_bytes)) return Whole::unknown;
    if (checksum != member.checksum) return Whole::no;
    if (member.kind == MemberKind::object) return Whole::yes;
    std::vector<std::byte> list(member.size_bytes);
    TARN_CHECK(file.read_at(found.data_offset, list));
    auto decoded = decode_extent_list(list);
    if (!decoded || decoded->empty() || extents_bytes(*decoded) != member.object_bytes) return Whole::no;
    extents = std::move(*decoded);
    for (const Extent& extent : extents) meet(extent.volume);
    return Whole::yes;
  }

  /// A volume's number that was in use, whether the volume is there or not: it is not used again.
  void meet(std::uint64_t volume) { out_.start.next_volume = std::max(out_.start.next_volume, volume + 1); }

  /// After a loss of power: of each assembled object the newest version that is newer than all else of its name, and whole.
  Result<void> judge_assembled() {
    if (assembled_.empty()) return {};
    TARN_CHECK(commit());
    for (auto& [key, versions] : assembled_) {
      std::sort(versions.begin(), versions.end(), [](const Record& a, const Record& b) { return a.sequence > b.sequence; });
      TARN_TRY(const auto newest, index_.sequence_of(key));
      for (Record& version : versions) {
        if (newest && *newest >= version.sequence) break;
        TARN_TRY(const Whole whole, parts_are_whole(fs_, directory_, disk_, version));
        out_.incomplete |= whole == Whole::unknown;
        if (whole == Whole::no) {
          trouble(version.list->volume, "object " + key.substr(0, key.find('\0')) + "/" + std::string(object_key(key)) +
                                            " was not written whole; an older version of it may show");
          continue;
        }
        changes_[key] = Change{key, version.sequence, std::move(version)};
        break;
      }
      if (changes_.size() >= limits::kIndexBatchRecordsMax) TARN_CHECK(commit());
    }
    return {};
  }

  Result<Record> record_of(std::uint64_t volume, const PatientFile& file, const ScannedMember& found, std::vector<Extent> extents) {
    const Member& member = found.member;
    Extent place{volume, found.data_offset, member.size_bytes, member.solo, member.solo, found.data_offset - found.header_offset};
    if (member.solo && options_.verify_data) {  // without it a range costs a look at the whole, no more
      TARN_TRY(place.blocks, table_is_whole(file, Place{disk_, volume, found.data_offset}, member.size_bytes));
      const TablePlace table = table_place(found.data_offset, member.size_bytes);
      out_.incomplete |= file.lacks(table.header_offset, table.end_offset - table.header_offset);
    }
    return to_record(member, place, std::move(extents));
  }

  /// Whether this version is known already: compaction has copied it and the volume that it comes from is still there, or the index is
  /// at odds with itself.
  Result<bool> is_copy(const Member& member) {
    const std::string key = index_key(member.name.bucket, member.name.key);
    if (const auto found = changes_.find(key); found != changes_.end()) return found->second.sequence == member.sequence;
    TARN_TRY(const auto record, index_.find(key));
    return record && record->sequence == member.sequence;
  }

  void note_dead(const std::vector<Extent>& extents) {
    for (const Extent& extent : extents) {
      if (extent.solo) dead_.push_back(extent.volume);
    }
  }

  Result<void> commit() {
    for (const auto& [key, change] : changes_) batch_.changes.push_back(&change);
    std::stable_sort(batch_.buckets.begin(), batch_.buckets.end(), [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
    batch_.sequence = out_.start.sequence;
    batch_.keep_removals = options_.rebuild;
    TARN_TRY(const auto dead, index_.commit(batch_));
    note_dead(dead);
    batch_ = Batch{};
    changes_.clear();
    return {};
  }

  /// Solo volumes that nothing points to any more. What replaced them must be on stable storage first: a process that was
  /// killed may have left it in memory.
  Result<void> remove_dead(const std::vector<std::uint64_t>& volumes) {
    // A part that ceased to be one may be needed by an object that was assembled from it.
    TARN_TRY(const auto known, index_.volumes());
    std::erase_if(dead_, [&](std::uint64_t volume) { return known.contains(volume); });
    // What is damaged may be the list of an object that needs them.
    if (!out_.troubles.empty()) TARN_CHECK(set_parts_aside());
    if (dead_.empty()) return {};
    if (options_.unclean) {
      for (const std::uint64_t volume : volumes) {
        const auto file = fs_.open(path(volume), base::OpenMode::read_write);
        if (!file && file.error().code == ErrorCode::not_found) continue;  // it had no member
        if (!file) return fail(file.error());
        TARN_CHECK((*file)->sync_data());
      }
      TARN_CHECK(fs_.sync_directory(directory_ + "/volumes"));
    }
    for (const std::uint64_t volume : dead_) {
      if (auto removed = fs_.remove(path(volume)); !removed && removed.error().code != ErrorCode::not_found) return removed;
    }
    return {};
  }

  Result<void> set_parts_aside() {
    for (auto at = dead_.begin(); at != dead_.end();) {
      const bool part = parts_.contains(*at);
      if (part) {
        TARN_TRY(const bool there, fs_.exists(path(*at)));
        if (there) TARN_CHECK(set_aside(*at));
      }
      at = part ? dead_.erase(at) : std::next(at);
    }
    return {};
  }

  /// Volumes of parts that assembled objects list, and that are not there.
  Result<void> note_missing_parts(const std::vector<std::uint64_t>& volumes) {
    TARN_TRY(const auto needed, index_.volumes());
    for (const auto& [volume, state] : needed) {
      if (state.kind != VolumeKind::solo || std::binary_search(volumes.begin(), volumes.end(), volume)) continue;
      trouble(volume, "is missing; " + base::format_size(state.live_bytes) + " of an object that was assembled from it cannot be read");
    }
    return {};
  }

  Result<void> finish_rebuild() {
    TARN_CHECK(index_.drop_removals());
    // Objects whose bucket's own note was lost bring the bucket back.
    TARN_TRY(const auto buckets, index_.buckets());
    const auto exists = [&](std::string_view name) {
      return std::any_of(buckets.begin(), buckets.end(), [&](const auto& b) { return b.name == name; });
    };
    TARN_CHECK(index_.scan({}, [&](std::string_view key, std::span<const std::byte> value) {
      const std::string bucket(key.substr(0, key.find('\0')));
      const auto record = decode_record(value);
      if (!exists(bucket) && !is_own_bucket(bucket))
        batch_.buckets.push_back({bucket, out_.start.sequence, record ? record->modified_ns : 0, Durability::none});
      return ScanStep{ScanStep::seek, bucket + '\x01'};
    }));
    return commit();
  }

  base::FileSystem& fs_;
  const std::string directory_;
  const base::Uuid disk_;
  Index& index_;
  const RecoveryOptions& options_;
  std::map<std::uint64_t, VolumeState> known_;
  std::uint64_t committed_ = 0;
  std::unordered_map<std::string, Change> changes_;  // the newest of each key
  Batch batch_;
  std::vector<std::uint64_t> dead_;                       // solo volumes that go
  std::set<std::uint64_t> parts_;                         // solo volumes whose object is one of Tarn's own
  std::map<std::string, std::vector<Record>> assembled_;  // by key: versions that are to be judged
  bool not_whole_ = false;                                // of the volume that is being scanned: an object is not what was written
  Recovered out_;
};

}  // namespace

Result<std::string> set_volume_aside(base::FileSystem& fs, const std::string& directory, std::uint64_t volume) {
  const std::string folder = directory + "/quarantine";
  const std::string kept = volume_file_path({}, volume);  // "/volumes/00000017.tar"
  const std::string begin = folder + "/volume-" + kept.substr(kept.rfind('/') + 1, kept.rfind('.') - kept.rfind('/') - 1);
  TARN_CHECK(fs.make_directory(folder));
  std::string aside = begin + ".tar";
  for (int again = 2;; ++again) {  // the number may have been used before
    TARN_TRY(const bool taken, fs.exists(aside));
    if (!taken) break;
    aside = begin + "-" + std::to_string(again) + ".tar";
  }
  TARN_CHECK(fs.rename(volume_file_path(directory, volume), aside));
  return aside;
}

Result<Recovered> recover(base::FileSystem& fs, const std::string& directory, const base::Uuid& disk, Index& index, const RecoveryOptions& options) {
  return Recovery(fs, directory, disk, index, options).run();
}

}  // namespace tarn::volume
