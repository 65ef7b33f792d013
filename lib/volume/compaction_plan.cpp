#include "volume/compaction_plan.hpp"

#include <algorithm>

namespace tarn::volume {

GarbageSurvey::GarbageSurvey(const Volumes& volumes, const std::vector<std::uint64_t>& files, const std::set<std::uint64_t>& excluded) {
  for (const auto& [volume, state] : volumes) {
    if (state.kind == VolumeKind::solo) continue;
    if (state.dead_bytes() > 0) add_dirty(volume);
    if (excluded.count(volume) != 0) continue;
    live_bytes += state.live_bytes;
    dead_bytes += state.dead_bytes();
    removal_bytes += state.notes.removal_bytes;
  }
  for (const std::uint64_t volume : files)
    if (volumes.count(volume) == 0) add_dirty(volume);
}

void GarbageSurvey::add_dirty(std::uint64_t volume) noexcept {
  if (volume < dirty_[0]) {
    dirty_[1] = dirty_[0];
    dirty_[0] = volume;
  } else if (volume < dirty_[1]) {
    dirty_[1] = volume;
  }
}

std::uint64_t GarbageSurvey::potential_bytes(std::uint64_t volume, const VolumeState& state) const noexcept {
  return state.dead_bytes() + (state.notes.newest < oldest_dirty(volume) ? state.notes.removal_bytes : 0);
}

std::uint64_t garbage_bytes_max(const GarbageSurvey& survey, const CompactionOptions& options, bool nearly_full) noexcept {
  const std::uint64_t part = nearly_full ? 4 * options.garbage_part : options.garbage_part;
  return survey.live_bytes / part + options.garbage_bytes_min;
}

namespace {

/// Better: gives back more for each byte of its size.
bool better(const Victim& a, const Victim& b) {
  const double of_a = static_cast<double>(a.gives_bytes) / static_cast<double>(a.gives_bytes + a.copy_bytes);
  const double of_b = static_cast<double>(b.gives_bytes) / static_cast<double>(b.gives_bytes + b.copy_bytes);
  return of_a != of_b ? of_a > of_b : a.volume < b.volume;
}

/// As many as bring the garbage down to `goal_bytes`.
std::vector<Victim> take_enough(std::vector<Victim> sorted, std::uint64_t garbage_bytes, std::uint64_t goal_bytes, std::uint64_t room_bytes) {
  std::vector<Victim> taken;
  room_bytes = std::min(room_bytes, limits::kCompactionRoundBytesMax);
  for (const Victim& victim : sorted) {
    if (garbage_bytes <= goal_bytes) break;
    if (victim.copy_bytes > room_bytes) continue;
    room_bytes -= victim.copy_bytes;
    garbage_bytes -= std::min(garbage_bytes, victim.gives_bytes);
    taken.push_back(victim);
  }
  return taken;
}

}  // namespace

std::vector<Victim> choose_victims(const GarbageSurvey::Volumes& volumes, const GarbageSurvey& survey, const std::set<std::uint64_t>& excluded,
                                   const CompactionOptions& options, std::uint64_t room_bytes, bool nearly_full) {
  const std::uint64_t most = garbage_bytes_max(survey, options, nearly_full);
  if (survey.garbage_bytes() <= most) return {};
  std::vector<Victim> good, last_resort, oldest;
  for (const auto& [volume, state] : volumes) {
    if (state.kind == VolumeKind::solo || excluded.count(volume) != 0 || state.indexed_bytes == 0) continue;
    const std::uint64_t gives = survey.potential_bytes(volume, state);
    const Victim victim{volume, state.kind == VolumeKind::open, state.indexed_bytes - gives, gives};
    if (state.dead_bytes() > 0 && oldest.empty() && victim.copy_bytes <= room_bytes) oldest.push_back(victim);
    if (gives == 0 || gives < state.indexed_bytes / limits::kCompactionVictimPart) continue;
    const bool early = victim.open && gives < std::max(state.indexed_bytes / limits::kCompactionSealPart, most / limits::kCompactionSealPart / 4);
    (early ? last_resort : good).push_back(victim);
  }
  for (auto* const list : {&good, &last_resort}) {
    std::sort(list->begin(), list->end(), better);
    auto taken = take_enough(std::move(*list), survey.garbage_bytes(), most - most / 4, room_bytes);
    if (!taken.empty()) return taken;
  }
  const bool many_removals = survey.removal_bytes > survey.live_bytes / limits::kCompactionRemovalPart + options.garbage_bytes_min;
  // A volume below it that cannot be compacted would hold the removals back all the same.
  const bool lowest = !oldest.empty() && survey.oldest_dirty(oldest.front().volume) > oldest.front().volume;
  return many_removals && lowest ? oldest : std::vector<Victim>();
}

}  // namespace tarn::volume
