#include "volume/committer.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"

namespace tarn::volume {

namespace {
constexpr std::chrono::seconds kRetryInterval{1};  // after a failed commit
}

Committer::Committer(Index& index, Appender& appender, Pending& pending, std::function<void(std::uint64_t)> remove_volume,
                     std::function<void()> garbage_grew)
    : index_(index),
      appender_(appender),
      pending_(pending),
      remove_volume_(std::move(remove_volume)),
      garbage_grew_(std::move(garbage_grew)),
      thread_([this] { run(); }) {}

Committer::~Committer() {
  if (const auto stopped = stop(); !stopped) base::log_error(stopped.error().message);
}

Result<void> Committer::wait_for_room() {
  if (pending_.size() < limits::kIndexBatchRecordsMax) return {};
  std::unique_lock lock(mutex_);
  wake_.notify_one();
  done_.wait(lock, [&] { return pending_.size() < limits::kIndexBatchRecordsMax || trouble_; });
  if (trouble_ && pending_.size() >= limits::kIndexBatchRecordsMax) return fail(*trouble_);
  return {};
}

void Committer::wake() {
  if (awake_.load(std::memory_order_relaxed) || awake_.exchange(true)) return;
  { const std::lock_guard lock(mutex_); }  // so that the thread is either before its check of awake_, or waiting
  wake_.notify_one();
}

Result<void> Committer::commit_all() {
  std::unique_lock lock(mutex_);
  if (stopping_) return {};
  const std::uint64_t mine = started_ + 1;  // one that begins after this moment
  requested_ = std::max(requested_, mine);
  wake_.notify_one();
  done_.wait(lock, [&] { return finished_ >= mine; });
  if (trouble_) return fail(*trouble_);
  return {};
}

Result<void> Committer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  if (trouble_) return fail(*trouble_);
  return {};
}

std::string Committer::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_ ? trouble_->message : std::string();
}

void Committer::run() {
  const auto urgent = [&] { return stopping_ || requested_ > started_; };
  while (true) {
    bool last = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return awake_.load() || urgent() || trouble_; });
      const std::chrono::milliseconds pause = trouble_ ? kRetryInterval : limits::kIndexCommitInterval;
      wake_.wait_for(lock, pause, [&] { return urgent() || (!trouble_ && pending_.size() >= limits::kIndexBatchRecordsMax); });
      awake_.store(false);
      last = stopping_;
      ++started_;
    }
    Result<void> done = try_commit();
    const std::lock_guard lock(mutex_);
    if (!done && (!trouble_ || trouble_->message != done.error().message)) base::log_if_possible(base::LogLevel::error, done.error().message);
    trouble_.reset();
    if (!done) trouble_.emplace(std::move(done).error());
    finished_ = started_;
    done_.notify_all();
    if (last) return;
  }
}

/// Whatever happens: for lack of memory too the cut is kept, and tried again.
Result<void> Committer::try_commit() noexcept {
  try {
    return commit_once();
  } catch (const std::exception& error) {
    return tl::unexpected<Error>(base::error_of(error, "index commit"));
  }
}

Result<void> Committer::commit_once() {
  remove_dead();  // of a commit that had no memory left for it
  const bool again = unfinished_.has_value();
  if (!again) unfinished_ = appender_.cut();
  Batch batch;
  batch.changes = pending_.committing();
  batch.buckets = unfinished_->buckets;
  batch.volumes = unfinished_->volumes;
  batch.sequence = unfinished_->sequence;
  batch.replaced = pending_.replaced();
  const bool sync = std::any_of(batch.changes.begin(), batch.changes.end(), [](const Change* change) { return change->sync; });
  if (!batch.changes.empty() || !batch.buckets.empty() || !batch.volumes.empty()) {
    TARN_TRY(dead_, index_.commit(batch));
  }
  dead_are_sync_ = sync;  // from here to reset() nothing can fail
  pending_.clear();
  unfinished_.reset();  // not before: what is left of it is committed again
  const bool garbage = !dead_.empty();
  remove_dead();
  if (garbage) garbage_grew_();
  if (again) return commit_once();  // what has become pending since the cut that failed
  return {};
}

void Committer::remove_dead() {
  const std::size_t before = dead_volumes_.size();
  dead_volumes_.reserve(before + dead_.size());
  for (const Extent& extent : dead_) {
    if (!extent.solo) continue;
    dead_volumes_.push_back(extent.volume);
    sync_first_ |= appender_.may_be_durable(extent.volume);
  }
  sync_first_ |= dead_are_sync_ && dead_volumes_.size() > before;
  dead_.clear();
  if (sync_first_ && !appender_.sync()) return;  // the disk's trouble tells why; the volumes stay until it is opened again
  sync_first_ = false;
  for (const std::uint64_t volume : dead_volumes_) remove_volume_(volume);
  dead_volumes_.clear();
}

}  // namespace tarn::volume
