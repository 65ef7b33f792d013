#include "volume/volume_pins.hpp"

#include <mutex>
#include <utility>
#include <vector>

namespace tarn::volume {

struct VolumePins::State {
  std::mutex mutex;                           // guards the rest; held while volumes are unlinked
  std::function<void(std::uint64_t)> unlink;  // empty: the disk is closed
  std::function<void()> free;
  std::size_t pins = 0;
  std::vector<std::uint64_t> waiting;

  void let_go() noexcept {
    const std::lock_guard lock(mutex);
    if (--pins > 0 || !unlink) return;
    try {
      for (const std::uint64_t volume : std::exchange(waiting, {})) unlink(volume);
      free();
    } catch (...) {  // no memory: what has not been unlinked is garbage to the next open
    }
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

void VolumePins::unlink(std::uint64_t volume) {
  const std::lock_guard lock(state_->mutex);
  if (state_->pins > 0)
    state_->waiting.push_back(volume);
  else
    state_->unlink(volume);
}

bool VolumePins::pinned() const {
  const std::lock_guard lock(state_->mutex);
  return state_->pins > 0;
}

}  // namespace tarn::volume
