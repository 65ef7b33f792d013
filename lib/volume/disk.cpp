#include "volume/disk.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "volume/index_probe.hpp"

namespace tarn::volume {

namespace {

/// A quarter of what the process may open, so that sockets and the application have room.
std::size_t open_files_max() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  return std::clamp<std::size_t>(limit.rlim_cur / 4, 16, 1024);
}

}  // namespace

Result<std::unique_ptr<Disk>> Disk::open(base::FileSystem& real, const std::string& directory, const DiskOptions& options) {
  std::unique_ptr<LimitedFileSystem> limited;
  if (options.space != SpaceLimits()) {
    TARN_TRY(limited, LimitedFileSystem::make(real, directory, options.space));
  }
  std::unique_ptr<Disk> disk(new Disk(real, std::move(limited)));
  base::FileSystem& fs = disk->fs_;
  TARN_TRY(disk->directory_, DiskDirectory::open(fs, directory, options.weight, options.create));
  const std::string index_path = disk->directory_->index_path();
  disk->aside_ = std::make_unique<IndexAside>(fs, index_path);
  TARN_CHECK(disk->aside_->put_back());
  TARN_TRY(const bool had_index, fs.exists(index_path));
  // A rebuild does not even look at the old index; nor is one believed whose pages may be of different times, after a
  // loss of power or where a sync has failed. One that is not complete is new, or what an interrupted rebuild has left.
  const bool power_lost = !disk->directory_->trustworthy();
  bool anew = options.rebuild || power_lost;
  if (options.probe && had_index && !anew) {
    TARN_TRY(const std::string damage, probe_index(fs, index_path));
    if (!damage.empty()) base::log_warn(damage);
    anew = !damage.empty();
  }
  if (!anew) {
    TARN_TRY(const bool complete, disk->open_index());
    anew = !complete;
  }
  const RecoveryOptions recovery{anew, power_lost, !disk->directory_->was_clean(), options.progress, {}};
  auto outcome = anew ? disk->make_index_anew(recovery, options.rebuild) : recover(fs, disk->path(), disk->identity().id, *disk->index_, recovery);
  if (!outcome) {
    if (outcome.error().code == ErrorCode::io) disk->distrust();  // it may be a sync that failed: the next one proves nothing
    return fail(std::move(outcome).error());
  }
  Recovered recovered = std::move(*outcome);
  disk->aside_.reset();
  disk->incomplete_ = recovered.incomplete;
  disk->distrusted_ = recovered.incomplete && power_lost;
  TARN_CHECK(disk->mark_index());
  disk->rebuilt_ = recovery.rebuild && (had_index || recovered.members > 0);
  if (power_lost && !recovered.incomplete) TARN_CHECK(disk->directory_->set_trustworthy(true));
  disk->found_troubles_ = std::move(recovered.troubles);
  std::uint64_t volume_bytes_max = options.volume_bytes_max;
  if (const auto space = disk->space()) volume_bytes_max = fitting_volume_bytes(space->capacity_bytes, volume_bytes_max);
  disk->cache_ = std::make_unique<FileCache>(fs, disk->path(), open_files_max());
  disk->appender_ = std::make_unique<Appender>(fs, disk->path(), disk->identity().id, *disk->cache_, disk->pending_, recovered.start,
                                               volume_bytes_max, [raw = disk.get()] { raw->distrust(); });
  disk->verified_ = std::make_unique<std::array<std::atomic<std::uint64_t>, kVerifiedSlots>>();
  disk->start_threads(recovered.incomplete ? CompactionOptions{0} : options.compaction);
  return disk;
}

void Disk::start_threads(const CompactionOptions& compaction) {
  pins_ = std::make_unique<VolumePins>([this](std::uint64_t volume) { remove_volume(volume); }, [this] { compactor_->wake(); });
  committer_ = std::make_unique<Committer>(
      *index_, *appender_, pending_, [this](std::uint64_t volume) { pins_->unlink(volume); }, [this] { compactor_->wake(); });
  compactor_ = std::make_unique<Compactor>(Compactor::Context{fs_, path(), identity().id, *index_, *appender_, *committer_, *pins_}, compaction);
  compactor_->wake();  // for what is there already
}

Result<void> Disk::compact() {
  if (incomplete_) return {};
  TARN_CHECK(committer_->commit_all());
  while (true) {
    TARN_TRY(const bool more, compactor_->round());
    if (!more) return {};
  }
}

/// @return false: it is to be made anew.
Result<bool> Disk::open_index() {
  auto opened = Index::open(fs_, directory_->index_path());
  if (!opened && opened.error().code != ErrorCode::corrupt) return fail(std::move(opened).error());
  if (!opened) {
    base::log_warn(opened.error().message);
    return false;
  }
  index_ = std::move(*opened);
  return index_->complete(identity().id, directory_->index_mark());
}

/// @param keep_old  the old index may be a good one.
Result<Recovered> Disk::make_index_anew(RecoveryOptions options, bool keep_old) {
  options.whole = [this] { return aside_->let_go(); };
  const auto make = [&]() -> Result<Recovered> {
    index_.reset();
    TARN_CHECK(aside_->put_aside());
    TARN_TRY(index_, Index::open(fs_, directory_->index_path()));
    return recover(fs_, path(), identity().id, *index_, options);
  };
  auto outcome = make();
  const std::uint64_t kept_bytes = aside_->kept_bytes();
  if (outcome || outcome.error().code != ErrorCode::no_space || keep_old || kept_bytes == 0) return outcome;
  const auto space = fs_.space(path());
  if (!space || space->free_bytes >= kept_bytes) return outcome;
  base::log_warn(outcome.error().message + "; the old index, which is of no use, goes first");
  TARN_CHECK(aside_->let_go());
  return make();
}

/// From now on an index of an earlier time, copied back, does not count. Ended between the two steps, this one does not either:
/// it is made anew then.
Result<void> Disk::mark_index() {
  // An incomplete index stays without a mark. Written all the same: a disk that takes nothing has more than a bad place.
  if (incomplete_) return directory_->set_index_mark({});
  const std::string mark = base::Uuid::random().to_string();
  TARN_CHECK(index_->set_complete(identity().id, mark));
  return directory_->set_index_mark(mark);
}

Disk::~Disk() {
  if (const auto closed = close(); !closed) base::log_error(closed.error().message);
}

Result<Record> Disk::append(Member& member, std::span<const std::byte> data, Receipt* receipt) {
  TARN_CHECK(committer_->wait_for_room());
  auto record = appender_->append(member, data, receipt);
  if (record) committer_->wake();
  return record;
}

Result<Record> Disk::commit_solo(SoloFile& solo, Member& member, Receipt* receipt) {
  TARN_CHECK(committer_->wait_for_room());
  auto record = appender_->commit_solo(solo, member, receipt);
  if (record) committer_->wake();
  return record;
}

Result<Record> Disk::assemble(Member& member, const std::vector<Extent>& extents, Receipt* receipt) {
  TARN_CHECK(committer_->wait_for_room());
  auto record = appender_->assemble(member, extents, receipt);
  if (record) committer_->wake();
  return record;
}

Result<std::optional<Record>> Disk::find(std::string_view bucket, std::string_view key) const {
  const std::string joined = index_key(bucket, key);
  if (auto change = pending_.find(joined)) return std::move(change->record);
  return index_->find(joined);
}

std::optional<BriefRecord> Disk::find_brief(std::string_view bucket, std::string_view key) const {
  std::array<char, limits::kBucketNameBytesMax + 1 + limits::kKeyBytesMax> joined;  // as index_key()
  const std::size_t size = bucket.size() + 1 + key.size();
  if (size > joined.size()) return std::nullopt;
  char* const nul = std::copy(bucket.begin(), bucket.end(), joined.data());
  *nul = '\0';
  std::copy(key.begin(), key.end(), nul + 1);
  const std::string_view text(joined.data(), size);
  if (pending_.holds(text)) return std::nullopt;
  return index_->find_brief(text);
}

Result<void> Disk::scan(std::string_view from, const Index::Visitor& visit) {
  TARN_CHECK(committer_->commit_all());
  return index_->scan(from, visit);
}

Result<void> Disk::set_aside(const Record& record) {
  TARN_CHECK(commit());
  TARN_TRY(const auto volumes, index_->volumes());
  for (const Extent& extent : record.extents) {
    const auto state = volumes.find(extent.volume);
    if (!extent.solo || state == volumes.end() || state->second.live_bytes > extent.footprint_bytes()) continue;
    const auto aside = set_volume_aside(fs_, path(), extent.volume);
    if (!aside && aside.error().code == ErrorCode::not_found) continue;  // by a process that was killed before it removed the name
    TARN_CHECK(aside);
    cache_->drop(extent.volume);
    base::log_warn(volume_file_path(path(), extent.volume) + ": a part of no upload that is left, kept as " + *aside);
  }
  return {};
}

void Disk::remove_volume(std::uint64_t volume) {
  const auto removed = fs_.remove(volume_file_path(path(), volume));
  cache_->drop(volume);  // after its name: a reader that looks for it now does not bring it back
  if (!removed && removed.error().code != ErrorCode::not_found) base::log_warn(removed.error().message);
}

/// A sync has failed: the next open() is to believe what the disk holds, not what the page cache does.
void Disk::distrust() noexcept {
  try {
    if (const auto noted = directory_->set_trustworthy(false); !noted) base::log_error(noted.error().message);
  } catch (const std::exception& error) {
    base::log_error(error.what());
  }
}

void Disk::note_verified(std::uint64_t sequence) const noexcept {
  (*verified_)[sequence % kVerifiedSlots].store(sequence, std::memory_order_relaxed);
}

bool Disk::verified(std::uint64_t sequence) const noexcept {
  return (*verified_)[sequence % kVerifiedSlots].load(std::memory_order_relaxed) == sequence;
}

std::string Disk::trouble() const {
  std::string text = committer_->trouble();
  if (const std::string writes = appender_->trouble(); !writes.empty()) text += (text.empty() ? "" : "; ") + writes;
  const auto is_current = [this](const ObjectName& name, std::uint64_t sequence) {
    const auto record = find(name.bucket, name.key);
    return record && *record && (*record)->sequence == sequence;
  };
  if (const std::string damaged = damages_.text(is_current); !damaged.empty()) text += (text.empty() ? "" : "; ") + damaged;
  if (const std::string compaction = compactor_->trouble(); !compaction.empty()) text += (text.empty() ? "" : "; ") + compaction;
  for (const auto& one : found_troubles_) text += (text.empty() ? "" : "; ") + one;
  return text;
}

Result<void> Disk::flush() {
  TARN_CHECK(committer_->commit_all());
  TARN_CHECK(appender_->sync());
  return index_->sync();
}

Result<void> Disk::close() {
  if (!committer_) return {};
  if (compactor_) compactor_->stop();
  const auto committer = std::move(committer_);
  const auto stopped = committer->stop();
  pins_.reset();  // before the compactor goes: the last pin wakes it
  TARN_CHECK(stopped);
  TARN_CHECK(appender_->sync());
  TARN_CHECK(index_->sync());
  appender_->close();
  index_.reset();
  if (distrusted_) return directory_->set_trustworthy(false);
  return directory_->mark_clean();
}

}  // namespace tarn::volume
