// volume_pins.hpp - who holds places in volumes without having the files open, and the unlinking that waits for them: a pin holds
// all volumes, and stops compaction; a hold is for those of one object.
// Level 2 (volume). Any thread.
//
//   pin -> look places up -> read them, whenever -> let go: what was to be unlinked meanwhile goes now
//
// A volume is unlinked only when nothing in the index points to it any more, so a place that was looked up under a pin stays
// readable. Nothing is written down: what a process that was killed has not unlinked is garbage to the next one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace tarn::volume {

/// Destroying the last copy lets go. May outlive its disk.
using VolumePin = std::shared_ptr<const void>;

class VolumePins {
 public:
  /// @param unlink  removes a volume's file. @param free  called when the last pin has gone; neither may pin.
  VolumePins(std::function<void(std::uint64_t)> unlink, std::function<void()> free);
  ~VolumePins();  ///< what still waits is left to the next open of the disk
  VolumePins(const VolumePins&) = delete;
  VolumePins& operator=(const VolumePins&) = delete;

  /// While one lives, no volume is unlinked. @cost waits for an unlink that is under way.
  [[nodiscard]] VolumePin pin();
  /// While it lives, these volumes are not unlinked. Nothing is said of what was unlinked before: look the object up again.
  [[nodiscard]] VolumePin hold(std::vector<std::uint64_t> volumes);
  /// Now, or when the last that holds it goes.
  void unlink(std::uint64_t volume);
  [[nodiscard]] bool pinned() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace tarn::volume
