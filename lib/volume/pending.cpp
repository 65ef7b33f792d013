#include "volume/pending.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace tarn::volume {

Pending::Shard& Pending::shard_of(std::string_view key) noexcept {
  return shards_[TextHash()(key) >> 7 & (shards_.size() - 1)];
}
const Pending::Shard& Pending::shard_of(std::string_view key) const noexcept {
  return shards_[TextHash()(key) >> 7 & (shards_.size() - 1)];
}

Pending::Reservation::Reservation(Pending& pending, Change change)
    : pending_(pending), change_(std::move(change)), shard_(pending.shard_of(change_.key)) {
  const std::lock_guard lock(shard_.mutex);
  std::size_t places = shard_.places;
  if (change_.record) change_.record->for_each_place([&](const Extent&) { ++places; });
  if (shard_.replaced.capacity() < places) shard_.replaced.reserve(std::max(places, 2 * shard_.replaced.capacity()));
  const auto [at, fresh] = shard_.active.try_emplace(change_.key);  // from here on nothing can fail
  entry_ = &at->second;
  ++entry_->reserved;
  shard_.places = places;
  if (pending_.counter_ != nullptr) pending_.counter_->begun.fetch_add(1);
  if (!fresh) return;
  pending_.size_.fetch_add(1, std::memory_order_relaxed);
  pending_.unclear_.fetch_add(1);
}

Pending::Reservation::~Reservation() {
  if (pending_.counter_ != nullptr) pending_.counter_->visible.fetch_add(1);
  if (entry_ == nullptr) return;
  const std::lock_guard lock(shard_.mutex);
  if (--entry_->reserved > 0 || entry_->visible) return;
  shard_.active.erase(shard_.active.find(change_.key));
  pending_.size_.fetch_sub(1, std::memory_order_relaxed);
  pending_.unclear_.fetch_sub(1);
}

void Pending::Reservation::publish() noexcept {
  const std::lock_guard lock(shard_.mutex);
  Entry& entry = *std::exchange(entry_, nullptr);
  --entry.reserved;
  if (!std::exchange(entry.visible, true)) {
    entry.change = std::move(change_);
    return;
  }
  if (entry.change.sequence < change_.sequence) std::swap(entry.change, change_);
  if (change_.record) change_.record->for_each_place([&](const Extent& extent) { shard_.replaced.push_back(extent); });
}

std::optional<Change> Pending::find(std::string_view key) const {
  if (unclear_.load() == 0) return std::nullopt;  // a change that has been published is counted
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  for (const Map* map : {&shard.active, &shard.committing})
    if (const auto found = map->find(key); found != map->end() && found->second.visible) return found->second.change;
  return std::nullopt;
}

bool Pending::holds(std::string_view key) const {
  if (unclear_.load() == 0) return false;
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto has = [&](const Map& map) {
    const auto found = map.find(key);
    return found != map.end() && found->second.visible;
  };
  return has(shard.active) || has(shard.committing);
}

void Pending::swap() {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    TARN_ASSERT(shard.committing.empty());
    shard.active.swap(shard.committing);
    shard.replaced.swap(shard.replaced_committing);
    shard.places = 0;
  }
  size_.store(0, std::memory_order_relaxed);
}

std::vector<const Change*> Pending::committing() const {
  std::vector<const Change*> changes;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [key, entry] : shard.committing) changes.push_back(&entry.change);
  }
  return changes;
}

std::vector<Extent> Pending::replaced() const {
  std::vector<Extent> extents;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    extents.insert(extents.end(), shard.replaced_committing.begin(), shard.replaced_committing.end());
  }
  return extents;
}

void Pending::clear() noexcept {
  for (Shard& shard : shards_) {
    Map done;  // destroyed without the lock
    const std::lock_guard lock(shard.mutex);
    done.swap(shard.committing);
    unclear_.fetch_sub(done.size());
    shard.replaced_committing.clear();
  }
}

}  // namespace tarn::volume
