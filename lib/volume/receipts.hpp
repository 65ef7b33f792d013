// receipts.hpp - what must be synced before a change counts as durable, and which changes still wait for that.
// Level 2 (volume). Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "volume/group_sync.hpp"

namespace tarn::volume {

/// Of one change in a bucket with durability sync. Empty: of another.
struct Receipt {
  std::shared_ptr<GroupSync> volume;
  std::uint64_t volume_ticket = 0;
  std::uint64_t name_ticket = 0;  ///< of the volume's entry in its directory
  std::uint64_t number = 0;       ///< in Receipts
};

/// The changes that can be seen already and are not on stable storage yet. One whose sync failed stays.
class Receipts {
 public:
  /// To be called before the change can be seen: whoever sees it finds it here. Fills in the number.
  void add(Receipt& receipt) {
    const std::lock_guard lock(mutex_);
    receipt.number = ++last_;
    waiting_.emplace(receipt.number, receipt);
  }
  /// It is on stable storage.
  void settle(const Receipt& receipt) noexcept {
    const std::lock_guard lock(mutex_);
    waiting_.erase(receipt.number);
  }
  [[nodiscard]] std::vector<Receipt> waiting() const {
    std::vector<Receipt> all;
    const std::lock_guard lock(mutex_);
    all.reserve(waiting_.size());
    for (const auto& [number, receipt] : waiting_) all.push_back(receipt);
    return all;
  }

 private:
  mutable std::mutex mutex_;  // guards the rest
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Receipt> waiting_;
};

}  // namespace tarn::volume
