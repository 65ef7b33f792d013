#include "volume/compactor.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "volume/file_cache.hpp"
#include "volume/headroom.hpp"
#include "volume/volume_mover.hpp"

namespace tarn::volume {

namespace {
constexpr std::chrono::seconds kRetryInterval{1};    // after a round that failed
constexpr std::chrono::milliseconds kPaceGrain{10};  // shorter waits are saved up
constexpr std::uint64_t kWorthOfFreePart = 8;        // garbage that matters on a disk that is nearly full
}  // namespace

Compactor::Compactor(Context context, const CompactionOptions& options) : context_(std::move(context)), options_(options) {
  if (options_.bytes_per_second > 0) thread_ = std::thread([this] { run(); });
}

Compactor::~Compactor() {
  stop();
}

void Compactor::wake() noexcept {
  if (woken_.exchange(true)) return;
  { const std::lock_guard lock(mutex_); }  // so that the thread is either before its check of woken_, or waiting
  wake_.notify_all();
}

void Compactor::stop() {
  stopping_.store(true);
  { const std::lock_guard lock(mutex_); }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Compactor::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return woken_.load() || stopping_.load(); });
    if (stopping_.load()) return;
    working_ = true;
    woken_.store(false);
    lock.unlock();
    Result<bool> more = try_round();
    lock.lock();
    if (!more || *more) woken_.store(true);
    working_ = false;
    std::string trouble;
    if (!more && more.error().code != ErrorCode::aborted) trouble = std::move(more.error().message);
    if (!trouble.empty() && trouble != round_trouble_) base::log_if_possible(base::LogLevel::warn, trouble);
    round_trouble_ = std::move(trouble);
    wake_.wait_for(lock, more ? std::chrono::milliseconds(limits::kCompactionInterval) : kRetryInterval, [&] { return stopping_.load(); });
  }
}

/// For lack of memory too it is tried again.
Result<bool> Compactor::try_round() noexcept {
  try {
    return round();
  } catch (const std::exception& error) {
    return tl::unexpected<Error>(base::error_of(error, "compaction"));
  }
}

CompactionStats Compactor::stats() const {
  CompactionStats stats;
  if (const auto volumes = context_.index.volumes()) stats.garbage_bytes = GarbageSurvey(*volumes, {}, {}).garbage_bytes();
  stats.moved_bytes = moved_bytes_.load();
  stats.returned_bytes = returned_bytes_.load();
  const std::lock_guard lock(mutex_);
  stats.active = thread_.joinable() && (working_ || woken_.load());
  return stats;
}

std::string Compactor::trouble() const {
  const std::lock_guard lock(mutex_);
  std::string text = round_trouble_;
  for (const auto& one : volume_troubles_) text += (text.empty() ? "" : "; ") + one;
  return text;
}

void Compactor::exclude(std::uint64_t volume, const std::string& why) {
  excluded_.insert(volume);
  if (why.empty()) return;
  const std::lock_guard lock(mutex_);
  volume_troubles_.push_back(why + "; this volume is not compacted: tarn check says what it holds");
  base::log_warn(volume_troubles_.back());
}

Result<GarbageSurvey> Compactor::survey(const GarbageSurvey::Volumes& volumes) const {
  TARN_TRY(const auto names, context_.fs.list(context_.directory + "/volumes"));
  std::vector<std::uint64_t> files;
  for (const auto& name : names)
    if (const std::uint64_t volume = volume_number(name); volume != UINT64_MAX) files.push_back(volume);
  return GarbageSurvey(volumes, files, excluded_);
}

Result<Compactor::Plan> Compactor::choose() const {
  TARN_TRY(const auto volumes, context_.index.volumes());
  TARN_TRY(const auto space, context_.fs.space(context_.directory));
  const std::uint64_t kept = kept_for_removals(space.capacity_bytes);
  const std::uint64_t fillable = space.free_bytes - std::min(space.free_bytes, space.kept_bytes);  // with objects
  const GarbageSurvey quick(volumes, {}, excluded_);
  Plan plan;
  plan.nearly_full = fillable < kept + space.capacity_bytes / limits::kNearlyFullPart && quick.garbage_bytes() > fillable / kWorthOfFreePart;
  const std::uint64_t most = garbage_bytes_max(quick, options_, plan.nearly_full);
  if (quick.garbage_bytes() <= most) return plan;
  plan.hurry = quick.garbage_bytes() > 2 * most;
  TARN_TRY(const auto all, survey(volumes));
  // Objects stop before what is kept for compaction and removals; half of the latter is left to removals and the index.
  const std::uint64_t room = space.free_bytes - std::min(space.free_bytes, kept / 2);
  plan.victims = choose_victims(volumes, all, excluded_, options_, room, plan.nearly_full);
  return plan;
}

Result<bool> Compactor::round() {
  const std::lock_guard turn(round_mutex_);
  if (sync_failed_ || stopping_.load() || context_.pins.pinned()) return false;
  if (unsynced_) context_.appender.note_unsynced(*unsynced_);
  unsynced_.reset();
  TARN_TRY(const auto plan, choose());
  if (plan.victims.empty()) return false;
  TARN_TRY(const bool sealed, seal_open(plan.victims));
  if (sealed) return true;  // what has been written since the plan was made counts in the next one
  return compact(plan);
}

/// @return whether there were any.
Result<bool> Compactor::seal_open(const std::vector<Victim>& victims) {
  bool any = false;
  for (const Victim& victim : victims) {
    if (!victim.open) continue;
    any = true;
    TARN_TRY(const bool sealed, context_.appender.seal_early(victim.volume));
    if (sealed) continue;
    TARN_CHECK(context_.committer.commit_all());  // a writer may have filled and left it a moment ago
    TARN_TRY(const auto volumes, context_.index.volumes());
    const auto now = volumes.find(victim.volume);
    // Left open by a round that failed, or by a writer: the next open of the disk takes it up.
    if (now != volumes.end() && now->second.kind == VolumeKind::open) exclude(victim.volume, {});
  }
  if (any) TARN_CHECK(context_.committer.commit_all());
  return any;
}

Result<bool> Compactor::compact(const Plan& plan) {
  const std::uint64_t target = context_.appender.take_volume_number();
  TARN_CHECK(context_.committer.commit_all());
  TARN_TRY(const auto volumes, context_.index.volumes());
  TARN_TRY(const auto now, survey(volumes));
  VolumeMover mover({context_.fs, context_.directory, context_.disk, context_.index, [&](std::uint64_t bytes) { return pace(bytes, plan); }}, target);
  std::vector<std::uint64_t> emptied;
  const auto move_all = [&]() -> Result<void> {
    for (const Victim& victim : plan.victims) {
      TARN_TRY(const std::string wrong, mover.take(victim.volume, now.oldest_dirty(victim.volume)));
      if (wrong.empty())
        emptied.push_back(victim.volume);
      else
        exclude(victim.volume, wrong);
    }
    return {};
  };
  unsynced_ = target;  // when there is no memory left: what was copied counts, so the next round has it synced
  const Result<void> moved = move_all();
  const Result<void> finished = mover.finish();
  moved_bytes_ += mover.copied_bytes();
  if (mover.wrote()) context_.appender.note_unsynced(target);
  unsynced_.reset();
  if (finished && !emptied.empty()) TARN_CHECK(give_back(emptied));
  TARN_CHECK(moved);
  TARN_CHECK(finished);
  return true;
}

Result<void> Compactor::give_back(const std::vector<std::uint64_t>& emptied) {
  if (auto synced = context_.appender.sync(); !synced) {
    sync_failed_ = !context_.appender.syncs_work();
    return synced;
  }
  TARN_TRY(const auto volumes, context_.index.volumes());
  for (const std::uint64_t volume : emptied) {
    const auto state = volumes.find(volume);
    if (state == volumes.end()) continue;
    if (state->second.live_bytes > 0) {
      exclude(volume, volume_file_path(context_.directory, volume) + ": the index counts " + base::format_size(state->second.live_bytes) +
                          " of objects in it that the volume does not have");
      continue;
    }
    TARN_CHECK(context_.index.forget_volume(volume));
    context_.pins.unlink(volume);
    returned_bytes_ += state->second.indexed_bytes;
  }
  return {};
}

Result<void> Compactor::pace(std::uint64_t bytes, const Plan& plan) {
  if (stopping_.load(std::memory_order_relaxed)) return fail(ErrorCode::aborted, context_.directory + ": compaction stops, the disk is being closed");
  if (plan.nearly_full || options_.bytes_per_second == 0) return {};
  const auto now = std::chrono::steady_clock::now();
  const double rate = static_cast<double>(options_.bytes_per_second) * static_cast<double>(plan.hurry ? limits::kCompactionHurry : 1);
  due_ = std::max(due_, now) + std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(bytes) / rate * 1e9));
  if (due_ < now + kPaceGrain) return {};
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, due_, [&] { return stopping_.load(); });
  return {};
}

}  // namespace tarn::volume
