#include "volume/pending.hpp"

#include <utility>

#include "base/assert.hpp"

namespace tarn::volume {

Pending::Shard& Pending::shard_of(std::string_view key) noexcept {
  return shards_[TextHash()(key) >> 7 & (shards_.size() - 1)];
}
const Pending::Shard& Pending::shard_of(std::string_view key) const noexcept {
  return shards_[TextHash()(key) >> 7 & (shards_.size() - 1)];
}

void Pending::insert(Change change) {
  Shard& shard = shard_of(change.key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.active.find(change.key);
  if (found == shard.active.end()) {
    std::string key = change.key;
    shard.active.emplace(std::move(key), std::move(change));
    size_.fetch_add(1, std::memory_order_relaxed);
    unclear_.fetch_add(1);
    return;
  }
  Change& kept = found->second;
  if (kept.sequence < change.sequence) std::swap(kept, change);
  if (change.record) change.record->for_each_place([&](const Extent& extent) { shard.replaced.push_back(extent); });
}

std::optional<Change> Pending::find(std::string_view key) const {
  if (unclear_.load() == 0) return std::nullopt;  // an insert that has returned is counted
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.active.find(key); found != shard.active.end()) return found->second;
  if (const auto found = shard.committing.find(key); found != shard.committing.end()) return found->second;
  return std::nullopt;
}

bool Pending::holds(std::string_view key) const {
  if (unclear_.load() == 0) return false;
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  return shard.active.contains(key) || shard.committing.contains(key);
}

void Pending::swap() {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    TARN_ASSERT(shard.committing.empty());
    shard.active.swap(shard.committing);
    shard.replaced.swap(shard.replaced_committing);
  }
  size_.store(0, std::memory_order_relaxed);
}

std::vector<const Change*> Pending::committing() const {
  std::vector<const Change*> changes;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [key, change] : shard.committing) changes.push_back(&change);
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

void Pending::clear() {
  for (Shard& shard : shards_) {
    Map done;  // destroyed without the lock
    const std::lock_guard lock(shard.mutex);
    done.swap(shard.committing);
    unclear_.fetch_sub(done.size());
    shard.replaced_committing.clear();
  }
}

}  // namespace tarn::volume
