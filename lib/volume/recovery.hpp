// recovery.hpp - brings index and volumes of a disk into agreement before it is used.
// Level 2 (volume). One thread, with the disk's lock held.
//
//   what the index has not seen: behind an open volume's indexed_bytes, and in volumes it does not know.
//   catch_up: reads that, and only that.            rebuild: reads every header of every volume into an empty index.
//   In both the highest sequence of a key wins, removals included.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/appender.hpp"
#include "volume/index.hpp"

namespace tarn::volume {

struct RecoveryOptions {
  bool rebuild = false;
  /// After a loss of power: members whose data does not match their checksum were never finished; they do not count.
  bool verify_data = false;
  /// The last user did not close the disk: what it wrote may be in memory only.
  bool unclean = false;
  /// Called after each volume with volumes done and in all; may be empty.
  std::function<void(std::uint64_t, std::uint64_t)> progress;
  /// Called when the index holds all that was found, before anything is removed that it does not need; may be empty.
  std::function<Result<void>()> whole;
};

struct Recovered {
  Appender::Start start;
  std::vector<std::string> troubles;  ///< one sentence each; the disk is usable all the same
  std::uint64_t members = 0;          ///< that were read
  /// Parts of volumes that were to be looked at cannot be read. They may hold what is newer than what was found: nothing is removed, the
  /// index does not count as complete (Index::complete is false for every mark), and the next open must read the volumes again.
  bool incomplete = false;
};

/// What the disk does not give of a volume is damage, not an error, unless nothing at all is left.
/// @errors io, no_space, corrupt (the index).
/// Moves a volume to quarantine/. @return its new path. @errors io.
[[nodiscard]] Result<std::string> set_volume_aside(base::FileSystem& fs, const std::string& directory, std::uint64_t volume);

[[nodiscard]] Result<Recovered> recover(base::FileSystem& fs, const std::string& directory, const base::Uuid& disk, Index& index,
                                        const RecoveryOptions& options);

}  // namespace tarn::volume
