#include "volume/group_sync.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace tarn::volume {

namespace {

/// The reason of a sync that failed in a way that has no Result; nullopt: there is no memory to tell it.
std::optional<Error> told(const char* reason) noexcept {
  try {
    return Error(ErrorCode::io, std::string("sync: ") + reason);
  } catch (...) {
    return std::nullopt;
  }
}

}  // namespace

Result<void> GroupSync::wait(std::uint64_t ticket) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (synced_ >= ticket) return {};
    if (failed_) return failure_ ? fail(*failure_) : fail(ErrorCode::io, "sync failed");
    if (running_) {
      done_.wait(lock);
      continue;
    }
    running_ = true;
    const std::uint64_t covered = given_.load();
    lock.unlock();
    bool good = false;
    std::optional<Error> failure;
    try {  // whatever happens: who waits must not wait for ever, nor take it for a success
      if (auto outcome = sync_(); outcome)
        good = true;
      else
        failure = std::move(outcome).error();
    } catch (const std::exception& error) {
      failure = told(error.what());
    } catch (...) {
      failure = told("an unknown exception");
    }
    lock.lock();
    running_ = false;
    const bool tried = good || !failure || failure->code != ErrorCode::busy;
    failed_ = !good && tried;
    if (good)
      synced_ = std::max(synced_, covered);
    else if (tried)
      failure_ = std::move(failure);
    done_.notify_all();
    if (!tried) return fail(std::move(*failure));
  }
}

}  // namespace tarn::volume
