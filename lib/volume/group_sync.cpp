#include "volume/group_sync.hpp"

#include <algorithm>
#include <exception>
#include <string>

namespace tarn::volume {

Result<void> GroupSync::wait(std::uint64_t ticket) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (synced_ >= ticket) return {};
    if (failed_) return fail(*failed_);
    if (running_) {
      done_.wait(lock);
      continue;
    }
    running_ = true;
    const std::uint64_t covered = given_.load();
    lock.unlock();
    Result<void> outcome;
    try {
      outcome = sync_();
    } catch (const std::exception& error) {  // bad_alloc: whoever waits must not wait for ever
      outcome = fail(ErrorCode::io, std::string("sync: ") + error.what());
    }
    lock.lock();
    running_ = false;
    if (outcome)
      synced_ = std::max(synced_, covered);
    else
      failed_ = outcome.error();
    done_.notify_all();
  }
}

}  // namespace tarn::volume
