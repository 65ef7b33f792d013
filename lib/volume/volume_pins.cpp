#include "volume/volume_pins.hpp"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tarn::volume {

struct VolumePins::State {
  std::mutex mutex;                           // guards the rest; held while volumes are unlinked
  std::function<void(std::uint64_t)> unlink;  // empty: the disk is closed
  std::function<void()> free;
  std::size_t pins = 0;
  std::unordered_map<std::uint64_t, std::size_t> holds;  // volume -> by how many
  std::vector<std::uint64_t> waiting;

  [[nodiscard]] bool is_held(std::uint64_t volume) const { return pins > 0 || holds.contains(volume); }

  /// With the mutex held.
  void unlink_free_ones() noexcept {
    if (!unlink) return;
    try {
      const auto held = std::partition(waiting.begin(), waiting.end(), [&](std::uint64_t volume) { return is_held(volume); });
      for (auto at = held; at != waiting.end(); ++at) unlink(*at);
      waiting.erase(held, waiting.end());
    } catch (...) {  // no memory: what has not been unlinked is tried again, or garbage to the next open
    }
  }

  void let_go() noexcept {
    const std::lock_guard lock(mutex);
    if (--pins > 0) return;
    unlink_free_ones();
    if (free) free();
  }

  void let_go(const std::vector<std::uint64_t>& volumes) noexcept {
    const std::lock_guard lock(mutex);
    for (const std::uint64_t volume : volumes) {
      const auto at = holds.find(volume);
      if (--at->second == 0) holds.erase(at);
    }
    unlink_free_ones();
  }
};

VolumePins::VolumePins(std::function<void(std::uint64_t)> unlink, std::function<void()> free) : state_(std::make_shared<State>()) {
  state_->unlink = std::move(unlink);
  state_->free = std::move(free);
}

VolumePins::~VolumePins() {
  const std::lock_guard lock(state_->mutex);
  state_->unlink = nullptr;
  state_->free = nullptr;
}

VolumePin VolumePins::pin() {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->pins;
  }
  return VolumePin(state_.get(), [state = state_](const void*) { state->let_go(); });  // lets go when there is no memory for it
}

VolumePin VolumePins::hold(std::vector<std::uint64_t> volumes) {
  auto kept = std::make_unique<std::vector<std::uint64_t>>(std::move(volumes));
  {
    const std::lock_guard lock(state_->mutex);
    std::size_t counted = 0;
    try {
      for (; counted < kept->size(); ++counted) ++state_->holds[(*kept)[counted]];
    } catch (...) {  // no memory: those that were counted are let go
      kept->resize(counted);
      for (const std::uint64_t volume : *kept)
        if (--state_->holds[volume] == 0) state_->holds.erase(volume);
      throw;
    }
  }
  return VolumePin(kept.release(), [state = state_](const void* held) {  // lets go when there is no memory for it
    const std::unique_ptr<const std::vector<std::uint64_t>> volumes_held(static_cast<const std::vector<std::uint64_t>*>(held));
    state->let_go(*volumes_held);
  });
}

void VolumePins::unlink(std::uint64_t volume) {
  const std::lock_guard lock(state_->mutex);
  if (state_->is_held(volume))
    state_->waiting.push_back(volume);
  else
    state_->unlink(volume);
}

bool VolumePins::pinned() const {
  const std::lock_guard lock(state_->mutex);
  return state_->pins > 0;
}

}  // namespace tarn::volume
