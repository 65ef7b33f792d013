// compaction_plan.hpp - how much garbage a disk's shared volumes hold, and which of them are worth compacting.
// Level 2 (volume). Value types and pure functions; any thread.
//
// A shared volume is made of           who drops it
//   live objects                       nobody: they are copied
//   dead objects                       compaction of the volume
//   removals                           compaction, once no *other* volume up to the removal's `newest` is dirty: holds a dead
//                                      object, which may be an older version of what was removed. Else they are copied
//   buckets' notes                     compaction, when there is a newer one of the bucket
//
// When volumes that are dirty but not worth compacting keep too many removals from being dropped, the oldest of them is taken all the same.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/file.hpp"
#include "base/limits.hpp"
#include "volume/index.hpp"

namespace tarn::volume {

struct CompactionOptions {
  std::uint64_t bytes_per_second = 0;  ///< that are copied, when there is no hurry; 0: no compaction
  /// There may be a part of what lives and garbage_bytes_min of garbage.
  std::uint64_t garbage_part = limits::kCompactionGarbagePart;
  std::uint64_t garbage_bytes_min = limits::kCompactionGarbageBytesMin;
};

/// The volumes of a disk at one moment.
class GarbageSurvey {
 public:
  using Volumes = std::map<std::uint64_t, VolumeState>;
  /// @param files     numbers of the volumes that the directory holds. One that the index does not know counts as dirty.
  /// @param excluded  volumes that cannot be compacted: damaged ones.
  GarbageSurvey(const Volumes& volumes, const std::vector<std::uint64_t>& files, const std::set<std::uint64_t>& excluded);

  std::uint64_t live_bytes = 0, dead_bytes = 0, removal_bytes = 0;  ///< of shared volumes that are not excluded
  [[nodiscard]] std::uint64_t garbage_bytes() const noexcept { return dead_bytes + removal_bytes; }
  /// The lowest number of a dirty volume other than `volume`; UINT64_MAX: there is none.
  [[nodiscard]] std::uint64_t oldest_dirty(std::uint64_t volume) const noexcept { return dirty_[0] == volume ? dirty_[1] : dirty_[0]; }
  /// What compacting this volume would give back.
  [[nodiscard]] std::uint64_t potential_bytes(std::uint64_t volume, const VolumeState& state) const noexcept;

 private:
  void add_dirty(std::uint64_t volume) noexcept;
  std::array<std::uint64_t, 2> dirty_{UINT64_MAX, UINT64_MAX};  // the two lowest
};

struct Victim {
  std::uint64_t volume = 0;
  bool open = false;  ///< to be sealed first
  std::uint64_t copy_bytes = 0;
  std::uint64_t gives_bytes = 0;
};

/// Garbage that is too much, given what lives.
[[nodiscard]] std::uint64_t garbage_bytes_max(const GarbageSurvey& survey, const CompactionOptions& options, bool nearly_full) noexcept;
/// The volumes to compact now, best first; empty: there is not too much garbage, or none can be compacted.
/// @param room_bytes  how much may be copied.
[[nodiscard]] std::vector<Victim> choose_victims(const GarbageSurvey::Volumes& volumes, const GarbageSurvey& survey,
                                                 const std::set<std::uint64_t>& excluded, const CompactionOptions& options, std::uint64_t room_bytes,
                                                 bool nearly_full);

}  // namespace tarn::volume
