// headroom.hpp - keeps some of a disk's space for the index, removals and compaction, so that a full store can still be listed,
// emptied, closed and opened again.
// Level 2 (volume). Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::volume {

/// Of a disk: for the index and for removals.
[[nodiscard]] std::uint64_t kept_for_removals(std::uint64_t capacity_bytes) noexcept;
/// For compaction, which copies up to a volume before it gives it back.
[[nodiscard]] std::uint64_t kept_for_compaction(std::uint64_t capacity_bytes, std::uint64_t volume_bytes_max) noexcept;
/// The size of shared volumes on a disk of this capacity.
[[nodiscard]] std::uint64_t fitting_volume_bytes(std::uint64_t capacity_bytes, std::uint64_t volume_bytes_max) noexcept;

class Headroom {
 public:
  /// @param compaction_bytes  kept for compaction: the size of a volume.
  Headroom(base::FileSystem& fs, std::string directory, std::uint64_t compaction_bytes)
      : fs_(fs), directory_(std::move(directory)), compaction_bytes_(compaction_bytes) {}

  /// Before an object's bytes are written. @errors no_space: they would take what is kept.
  /// @cost a statvfs each quarter of what is kept (16 MiB on a disk of 1 GiB or more), else an atomic subtraction.
  [[nodiscard]] Result<void> take(std::uint64_t bytes);

 private:
  base::FileSystem& fs_;
  const std::string directory_;
  const std::uint64_t compaction_bytes_;
  std::atomic<std::int64_t> granted_{0};  // bytes that may be written before the file system is asked again
};

}  // namespace tarn::volume
