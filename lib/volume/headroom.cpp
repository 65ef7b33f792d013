#include "volume/headroom.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace tarn::volume {

namespace {

std::string why_full(const std::string& directory, const base::Space& space, std::uint64_t kept, std::uint64_t bytes) {
  if (space.quota_bytes > 0)
    return directory + ": its quota of " + base::format_size(space.quota_bytes) + " has no room for " + base::format_size(bytes) + " more (" +
           base::format_size(space.used_bytes) + " are used, " + base::format_size(kept) +
           " kept for the index, removals and compaction); remove large objects, or raise the quota";
  return directory + ": no space left for " + base::format_size(bytes) + " more (" + base::format_size(space.free_bytes) + " are free, " +
         base::format_size(kept) + " of them kept for the index, removals and compaction" + (space.kept_bytes > 0 ? ", or by --keep-free" : "") +
         "); remove large objects or add a disk";
}

}  // namespace

std::uint64_t kept_for_removals(std::uint64_t capacity_bytes) noexcept {
  return std::min(limits::kHeadroomBytesMax, capacity_bytes / limits::kHeadroomPart);
}

std::uint64_t kept_for_compaction(std::uint64_t capacity_bytes, std::uint64_t volume_bytes_max) noexcept {
  return std::min(volume_bytes_max, capacity_bytes / limits::kHeadroomPart);
}

std::uint64_t fitting_volume_bytes(std::uint64_t capacity_bytes, std::uint64_t volume_bytes_max) noexcept {
  return std::min(volume_bytes_max, std::max(limits::kSmallVolumeBytes, capacity_bytes / limits::kVolumesPerDiskMin));
}

Result<void> Headroom::take(std::uint64_t bytes) {
  const auto wanted = static_cast<std::int64_t>(bytes);
  if (granted_.fetch_sub(wanted, std::memory_order_relaxed) >= wanted) return {};
  const auto space = fs_.space(directory_);
  if (!space) return {};  // the write itself will tell
  const std::uint64_t kept =
      std::max(space->kept_bytes, kept_for_removals(space->capacity_bytes) + kept_for_compaction(space->capacity_bytes, compaction_bytes_));
  if (space->free_bytes < kept + bytes) {
    granted_.store(0, std::memory_order_relaxed);
    return fail(ErrorCode::no_space, why_full(directory_, *space, kept, bytes));
  }
  granted_.store(static_cast<std::int64_t>(std::min(std::min(kept, limits::kHeadroomBytesMax) / 4, space->free_bytes - kept - bytes)),
                 std::memory_order_relaxed);
  return {};
}

}  // namespace tarn::volume
