// receipts.hpp - what must be synced before a change counts as durable, and which changes still wait for that.
// Level 2 (volume). Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
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
  /// Room for a receipt, with all the memory that fill() takes.
  class Slot {
   public:
    explicit Slot(Receipts& receipts) : receipts_(receipts) {
      const std::lock_guard lock(receipts_.mutex_);
      place_ = &receipts_.waiting_[receipts_.last_ + 1];
      number_ = ++receipts_.last_;
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
      if (place_ == nullptr) return;
      const std::lock_guard lock(receipts_.mutex_);
      receipts_.waiting_.erase(number_);
    }
    /// To be called before the change can be seen: whoever sees it finds it here. Fills in the number.
    void fill(Receipt& receipt) noexcept {
      const std::lock_guard lock(receipts_.mutex_);
      receipt.number = number_;
      *std::exchange(place_, nullptr) = receipt;
    }

   private:
    Receipts& receipts_;
    Receipt* place_ = nullptr;  // nullptr: filled
    std::uint64_t number_ = 0;
  };

  /// It is on stable storage.
  void settle(const Receipt& receipt) noexcept {
    const std::lock_guard lock(mutex_);
    waiting_.erase(receipt.number);
  }
  [[nodiscard]] std::vector<Receipt> waiting() const {
    std::vector<Receipt> all;
    const std::lock_guard lock(mutex_);
    all.reserve(waiting_.size());
    for (const auto& [number, receipt] : waiting_)
      if (receipt.volume) all.push_back(receipt);
    return all;
  }

 private:
  mutable std::mutex mutex_;  // guards the rest
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Receipt> waiting_;
};

}  // namespace tarn::volume
