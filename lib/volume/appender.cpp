#include "volume/appender.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "base/assert.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "volume/extent_list.hpp"

namespace tarn::volume {

namespace {

constexpr std::array<std::byte, 2 * tar::kBlockBytes> kZeros{};  // a trailer; also padding

}  // namespace

SoloFile::~SoloFile() {
  if (committed_ || kept_) return;
  file_.reset();
  if (const auto removed = fs_.remove(temporary_path_); !removed) base::log_warn(removed.error().message);
}

Result<void> SoloFile::write(std::span<const std::byte> bytes) {
  TARN_ASSERT(file_ != nullptr);
  TARN_CHECK(headroom_.take(bytes.size()));
  TARN_CHECK(trouble_.watch(table_.add(bytes)));
  TARN_CHECK(trouble_.watch(file_->write_at(data_offset_ + size_bytes_, bytes)));
  size_bytes_ += bytes.size();
  return {};
}

Result<std::size_t> SoloFile::read_back(std::uint64_t offset, std::span<std::byte> target) const {
  TARN_ASSERT(finished_ && !committed_);
  if (offset >= size_bytes_) return 0;
  TARN_TRY(const auto file, fs_.open(temporary_path_, base::OpenMode::read));
  return file->read_at(data_offset_ + offset, target.first(std::min<std::uint64_t>(target.size(), size_bytes_ - offset)));
}

Result<void> SoloFile::finish() {
  if (finished_) return {};
  TARN_CHECK(trouble_.watch(write_end()));
  file_.reset();
  finished_ = true;
  return {};
}

Result<void> SoloFile::keep_as(const std::string& path) {
  TARN_ASSERT(finished_ && !committed_);
  TARN_CHECK(trouble_.watch(fs_.rename(temporary_path_, path)));
  temporary_path_ = path;
  kept_ = true;
  return {};
}

Result<void> SoloFile::take_over(std::uint64_t size_bytes, const std::function<void(std::span<const std::byte>)>& see) {
  TARN_ASSERT(file_ != nullptr);
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(size_bytes, limits::kSoloObjectBytesMin)));
  while (size_bytes > 0) {
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size_bytes)));
    TARN_TRY(const std::size_t got, file_->read_at(data_offset_ + size_bytes_, piece));
    if (got != piece.size()) return fail(ErrorCode::corrupt, temporary_path_ + ": is shorter than its name says");
    TARN_CHECK(trouble_.watch(table_.add(piece)));
    see(piece);
    size_bytes_ += piece.size();
    size_bytes -= piece.size();
  }
  return {};
}

Result<void> SoloFile::write_end() {
  const TablePlace table = table_place(data_offset_, size_bytes_);
  Member member;
  member.kind = MemberKind::blocks;
  member.size_bytes = table.size_bytes;
  member.checksum = table_.end();
  member.modified_ns = created_ns_;
  member.solo = true;
  const auto header = encode_header(member, Place{place_.disk, place_.volume, table.header_offset});
  TARN_ASSERT(header.size() == kTableHeaderBytes);
  const std::uint64_t data_end = data_offset_ + size_bytes_, table_end = table.offset + table.size_bytes;
  const std::array<std::span<const std::byte>, 2> before{std::span(kZeros).first(table.header_offset - data_end), header};
  const std::array<std::span<const std::byte>, 2> behind{std::span(kZeros).first(table.end_offset - table_end), std::span(kZeros)};
  TARN_CHECK(headroom_.take(table.end_offset - data_end + kZeros.size()));
  TARN_CHECK(file_->write_at(data_end, before));
  TARN_CHECK(table_.write_to(*file_, table.offset));
  return file_->write_at(table_end, behind);
}

Appender::Appender(base::FileSystem& fs, std::string directory, const base::Uuid& disk, FileCache& cache, Pending& pending, const Start& start,
                   std::uint64_t volume_bytes_max, std::function<void()> on_failed_sync)
    : fs_(fs),
      directory_(std::move(directory)),
      disk_(disk),
      volume_bytes_max_(volume_bytes_max),
      headroom_(fs, directory_, volume_bytes_max),
      trouble_(std::move(on_failed_sync)),
      names_([this] { return trouble_.watch_sync([this] { return fs_.sync_directory(directory_ + "/volumes"); }); }),
      cache_(cache),
      pending_(pending),
      next_volume_(start.next_volume),
      sequence_(start.sequence),
      recovered_unsynced_(!start.unsynced.empty()),
      unsynced_(start.unsynced),
      maybe_durable_(unsynced_.size()) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> by_end;  // end, volume
  for (const auto& [volume, state] : start.open_volumes) by_end.emplace_back(state.indexed_bytes, volume);
  std::sort(by_end.begin(), by_end.end());
  std::size_t taken = 0;
  for (const auto& [end, volume] : by_end) {
    Lane& lane = lanes_[std::min(taken, kLanes - 1)];
    const VolumeState& state = start.open_volumes.at(volume);
    if (const auto opened = taken < kLanes ? take_up(lane, volume, state) : seal(lane, volume, state); opened)
      ++taken;
    else
      base::log_warn(opened.error().message);  // it stays as it is, open but not written
  }
}

Result<void> Appender::take_up(Lane& lane, std::uint64_t volume, const VolumeState& state) {
  TARN_TRY(auto file, fs_.open(volume_file_path(directory_, volume), base::OpenMode::read_write));
  use(lane, std::move(file), volume, state);
  return {};
}

void Appender::use(Lane& lane, std::shared_ptr<base::File> file, std::uint64_t volume, const VolumeState& state) {
  auto group = group_of(file);
  cache_.put(volume, file);
  lane.file = std::move(file);  // from here on nothing can fail: a lane is whole or has no file
  lane.sync = std::move(group);
  lane.name_ticket = names_.note();
  lane.volume = volume;
  lane.end = state.indexed_bytes;
  lane.notes = state.notes;
}

std::shared_ptr<GroupSync> Appender::group_of(std::shared_ptr<base::File> file) {
  return std::make_shared<GroupSync>([this, file = std::move(file)] { return trouble_.watch_sync([&] { return file->sync_data(); }); });
}

/// What a crash has left beyond the number of lanes: nobody would ever write it.
Result<void> Appender::seal(Lane& lane, std::uint64_t volume, const VolumeState& state) {
  TARN_TRY(const auto file, fs_.open(volume_file_path(directory_, volume), base::OpenMode::read_write));
  TARN_CHECK(trouble_.watch(file->write_at(state.indexed_bytes, std::span<const std::byte>(kZeros))));
  lane.retired[volume] = VolumeState{VolumeKind::sealed, state.indexed_bytes, 0, state.notes};
  note_unsynced(volume);
  return {};
}

/// A lane in the hands of one writer.
class Appender::LaneHold {
 public:
  LaneHold(Lane& lane, bool taken) : lane_(lane), taken_(taken), lock_(lane.mutex) {}
  LaneHold(const LaneHold&) = delete;
  LaneHold& operator=(const LaneHold&) = delete;
  ~LaneHold() {
    lock_.unlock();
    if (taken_) lane_.taken.store(false, std::memory_order_release);
  }
  [[nodiscard]] Lane* operator->() const noexcept { return &lane_; }
  [[nodiscard]] Lane& operator*() const noexcept { return lane_; }

 private:
  Lane& lane_;
  const bool taken_;
  std::unique_lock<std::mutex> lock_;
};

/// The first lane that no other writer has (a single writer fills a single volume); when all are taken, one by thread.
Appender::LaneHold Appender::choose_lane() {
  for (Lane& lane : lanes_) {
    if (!lane.taken.load(std::memory_order_relaxed) && !lane.taken.exchange(true, std::memory_order_acquire)) return LaneHold(lane, true);
  }
  return LaneHold(lanes_[std::hash<std::thread::id>()(std::this_thread::get_id()) % lanes_.size()], false);
}

void Appender::retire(Lane& lane, VolumeKind kind) {
  note_unsynced(lane.volume);
  lane.retired[lane.volume] = VolumeState{kind, lane.end, 0, lane.notes};
  lane.torn.reset();  // from here on nothing can fail
  lane.file.reset();
  lane.sync.reset();
  lane.grown = false;
}

/// Cuts off what a failed write has left. Where that fails too, the next open() does it. When it is not for lack of space, it may be
/// this very place that cannot be written: the lane goes on elsewhere. For lack of memory it may throw: the next writer does it then.
void Appender::undo_write(Lane& lane, ErrorCode reason) {
  lane.torn = reason;
  const bool cut_off = lane.file->truncate(lane.end).has_value();
  if (!cut_off || reason != ErrorCode::no_space) {
    if (lane.end > 0) return retire(lane, VolumeKind::open);
    if (fs_.remove(volume_file_path(directory_, lane.volume))) {
      cache_.drop(lane.volume);
      lane.file.reset();
      lane.sync.reset();
    } else if (!cut_off) {
      return retire(lane, VolumeKind::open);
    }
  }
  lane.torn.reset();
}

Result<void> Appender::prepare_lane(Lane& lane, std::uint64_t member_bytes) {
  if (lane.file && lane.torn) undo_write(lane, *lane.torn);
  if (lane.file && lane.end > 0 && lane.end + member_bytes > volume_bytes_max_) {
    if (auto sealed = lane.file->write_at(lane.end, std::span<const std::byte>(kZeros)); !sealed) {
      undo_write(lane, sealed.error().code);
      return sealed;
    }
    retire(lane, VolumeKind::sealed);
  }
  if (lane.file) return {};
  const std::uint64_t volume = next_volume_.fetch_add(1);
  TARN_TRY(auto file, fs_.open(volume_file_path(directory_, volume), base::OpenMode::create_new));
  use(lane, std::move(file), volume, {});
  return {};
}

Result<bool> Appender::seal_early(std::uint64_t volume) {
  for (Lane& lane : lanes_) {
    const std::lock_guard lock(lane.mutex);
    if (lane.file && lane.torn) undo_write(lane, *lane.torn);
    if (!lane.file || lane.volume != volume || lane.end == 0) continue;
    TARN_CHECK(trouble_.watch(lane.file->write_at(lane.end, std::span<const std::byte>(kZeros))));
    retire(lane, VolumeKind::sealed);
    return true;
  }
  return false;
}

Result<Record> Appender::assemble(Member& member, const std::vector<Extent>& extents, Receipt* receipt) {
  const std::string list = encode_extent_list(extents);
  const auto data = std::as_bytes(std::span(list));
  member.kind = MemberKind::assembled;
  member.checksum = base::xxh3_128(data);
  return trouble_.watch(write_member(member, data, receipt, &extents));
}

Result<Record> Appender::write_member(Member& member, std::span<const std::byte> data, Receipt* receipt, const std::vector<Extent>* extents) {
  if (receipt != nullptr) TARN_CHECK(trouble_.syncs_work());
  if (member.is_object()) TARN_CHECK(headroom_.take(tar::padded(data.size()) + kHeaderBytesMax));
  const LaneHold lane = choose_lane();
  TARN_CHECK(prepare_lane(*lane, tar::padded(data.size()) + kHeaderBytesMax));
  member.size_bytes = data.size();
  member.sequence = sequence_.fetch_add(1) + 1;
  // Whatever has a smaller sequence had its volume's number before it: these are all that may hold an older version.
  if (member.kind == MemberKind::deleted) member.newest_volume = next_volume_.load() - 1;
  const auto header = encode_header(member, Place{disk_, lane->volume, lane->end});
  const std::array<std::span<const std::byte>, 3> pieces{header, data, std::span(kZeros).first(tar::padded(data.size()) - data.size())};
  const Extent extent{lane->volume, lane->end + header.size(), data.size(), false, false, header.size()};
  Record record = to_record(member, extent, extents == nullptr ? std::vector<Extent>() : *extents);
  std::optional<Receipts::Slot> slot;
  if (receipt != nullptr) slot.emplace(receipts_);
  std::optional<Pending::Reservation> change;
  BucketChange note;
  if (member.is_bucket_note()) {
    note = {member.name.bucket, member.sequence, std::nullopt, member.bucket};
    if (member.kind == MemberKind::bucket_created) note.created_ns = member.modified_ns;
    if (lane->buckets.size() == lane->buckets.capacity()) lane->buckets.reserve(2 * lane->buckets.size() + 4);
  } else {
    const auto of = member.is_object() ? std::optional<Record>(record) : std::nullopt;
    change.emplace(pending_, Change{index_key(member.name.bucket, member.name.key), member.sequence, of, receipt != nullptr});
  }
  if (auto written = lane->file->write_at(lane->end, pieces); !written) {
    undo_write(*lane, written.error().code);
    return fail(std::move(written).error());
  }
  // The member is on the disk: nothing below can fail.
  lane->end += extent.footprint_bytes();
  lane->notes.add(member, extent.footprint_bytes());
  lane->grown = true;
  if (slot) {
    *receipt = {lane->sync, lane->sync->note(), lane->name_ticket};
    slot->fill(*receipt);
  }
  if (change)
    change->publish();
  else
    lane->buckets.push_back(std::move(note));
  return record;
}

Result<std::unique_ptr<SoloFile>> Appender::open_solo(const Member& member, const std::string& kept_path) {
  const std::uint64_t volume = next_volume_.fetch_add(1);
  Member as_solo = member;
  as_solo.solo = true;
  std::unique_ptr<SoloFile> solo(new SoloFile(fs_, headroom_, trouble_, directory_, Place{disk_, volume, 0}, as_solo, kept_path));
  auto file = fs_.open(solo->temporary_path_, kept_path.empty() ? base::OpenMode::create_new : base::OpenMode::read_write);
  if (!file) {
    solo->committed_ = true;  // there is nothing to remove
    return fail(std::move(file).error());
  }
  solo->file_ = std::move(*file);
  return solo;
}

Result<Record> Appender::commit_solo(SoloFile& solo, Member& member, Receipt* receipt) {
  TARN_CHECK(solo.finish());  // keeps its own account
  if (receipt != nullptr) {   // the data now, where nobody waits for it; wait_durable() has the header left
    TARN_CHECK(trouble_.syncs_work());
    TARN_TRY(const auto file, trouble_.watch(fs_.open(solo.temporary_path_, base::OpenMode::read_write)));
    TARN_CHECK(trouble_.watch_sync([&] { return file->sync_data(); }));
  }
  return trouble_.watch(name_solo(solo, member, receipt));
}

Result<void> Appender::wait_durable(const Receipt& receipt) {
  if (!receipt.volume) return {};
  TARN_CHECK(receipt.volume->wait(receipt.volume_ticket));
  TARN_CHECK(names_.wait(receipt.name_ticket));
  receipts_.settle(receipt);
  return {};
}

Result<void> Appender::settle() {
  if (recovered_unsynced_) TARN_CHECK(sync());  // what the process before this one has left can be seen as well
  for (const Receipt& receipt : receipts_.waiting()) TARN_CHECK(wait_durable(receipt));
  return trouble_.syncs_work();
}

Result<Record> Appender::name_solo(SoloFile& solo, Member& member, Receipt* receipt) {
  TARN_TRY(std::shared_ptr<base::File> file, fs_.open(solo.temporary_path_, base::OpenMode::read_write));
  member.size_bytes = solo.size_bytes_;
  member.solo = true;
  const std::lock_guard lock(solo_mutex_);
  member.sequence = sequence_.fetch_add(1) + 1;
  const auto header = encode_header(member, solo.place_, solo.data_offset_);
  TARN_ASSERT(header.size() == solo.data_offset_);
  Record record = to_record(member, Extent{solo.place_.volume, solo.data_offset_, member.size_bytes, true, true, solo.data_offset_});
  Pending::Reservation change(pending_, Change{index_key(member.name.bucket, member.name.key), member.sequence, record, receipt != nullptr});
  std::optional<Receipts::Slot> slot;
  std::shared_ptr<GroupSync> group;
  if (receipt != nullptr) {
    slot.emplace(receipts_);
    group = group_of(file);
  }
  note_unsynced(solo.place_.volume);  // nobody looks before this has its name, or not: sync_files() takes the same mutex
  TARN_CHECK(file->write_at(0, std::span<const std::byte>(header)));
  TARN_CHECK(fs_.rename(solo.temporary_path_, volume_file_path(directory_, solo.place_.volume)));
  solo.committed_ = true;  // the object is on the disk: nothing below can fail
  if (slot) {
    *receipt = {std::move(group), 0, names_.note()};
    receipt->volume_ticket = receipt->volume->note();
    slot->fill(*receipt);
  }
  change.publish();
  return record;
}

Appender::Cut Appender::cut() {
  std::array<std::unique_lock<std::mutex>, kLanes> locks;
  for (std::size_t i = 0; i < kLanes; ++i) locks[i] = std::unique_lock(lanes_[i].mutex);
  const std::lock_guard solo_lock(solo_mutex_);
  Cut result;
  result.sequence = sequence_.load();
  for (const Lane& lane : lanes_) {
    for (const auto& [volume, state] : lane.retired) result.volumes[volume] = state;
    if (lane.grown) result.volumes[lane.volume] = VolumeState{VolumeKind::open, lane.end, 0, lane.notes};
    result.buckets.insert(result.buckets.end(), lane.buckets.begin(), lane.buckets.end());
  }
  for (Lane& lane : lanes_) {  // not before everything has been copied: there may be no memory for that
    lane.retired.clear();
    lane.grown = false;
    lane.buckets.clear();
  }
  std::sort(result.buckets.begin(), result.buckets.end(), [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  pending_.swap();
  return result;
}

void Appender::note_unsynced(std::uint64_t volume) {
  const std::lock_guard lock(unsynced_mutex_);
  unsynced_.push_back(volume);
}

bool Appender::may_be_durable(std::uint64_t volume) const {
  const std::lock_guard lock(unsynced_mutex_);
  return std::find(unsynced_.begin() + static_cast<std::ptrdiff_t>(maybe_durable_), unsynced_.end(), volume) == unsynced_.end();
}

Result<void> Appender::sync() {
  const std::lock_guard lock(sync_mutex_);
  TARN_CHECK(trouble_.syncs_work());
  TARN_CHECK(sync_files());
  return trouble_.syncs_work();  // one that a writer had begun before may have failed meanwhile, and left nothing for this one to fail at
}

Result<void> Appender::sync_files() {
  std::vector<std::uint64_t> volumes;
  for (Lane& lane : lanes_) {
    const std::lock_guard lock(lane.mutex);
    if (lane.file && lane.end > 0) volumes.push_back(lane.volume);
  }
  std::size_t noted = 0;
  {  // after the lanes: what one of them has left by now is noted here; a large object that is noted has its name by then, too
    const std::lock_guard solo_lock(solo_mutex_);
    const std::lock_guard lock(unsynced_mutex_);
    noted = maybe_durable_ = unsynced_.size();
    volumes.insert(volumes.end(), unsynced_.begin(), unsynced_.end());
  }
  for (const std::uint64_t volume : volumes) {
    const auto file = fs_.open(volume_file_path(directory_, volume), base::OpenMode::read_write);
    if (!file && file.error().code == ErrorCode::not_found) continue;  // removed since
    if (!file) return trouble_.watch(Result<void>(fail(file.error())));
    TARN_CHECK(trouble_.watch_sync([&] { return (*file)->sync_data(); }));
  }
  TARN_CHECK(trouble_.watch_sync([&] { return fs_.sync_directory(directory_ + "/volumes"); }));
  const std::lock_guard lock(unsynced_mutex_);
  unsynced_.erase(unsynced_.begin(), unsynced_.begin() + static_cast<std::ptrdiff_t>(noted));
  maybe_durable_ = 0;
  recovered_unsynced_ = false;
  return {};
}

void Appender::close() {
  for (Lane& lane : lanes_) {
    const std::lock_guard lock(lane.mutex);
    if (!lane.file || lane.end > 0) continue;
    cache_.drop(lane.volume);
    lane.file.reset();
    if (const auto removed = fs_.remove(volume_file_path(directory_, lane.volume)); !removed) base::log_warn(removed.error().message);
  }
}

}  // namespace tarn::volume
