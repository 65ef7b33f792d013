// check.hpp - reads everything a disk holds and says what is wrong with it: the work of `tarn check`.
// Level 3 (object). One thread calls, a few work; the disk must not be in use (its lock is taken).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/limits.hpp"

namespace tarn::object {

struct CheckOptions {
  bool rebuild = false;     ///< make the index anew from the volumes first
  bool quarantine = false;  ///< take out damaged objects, write those anew whose bytes are intact (quarantine.hpp)
  /// Read and write at most so many, a rebuild and copies included, but for what LMDB does with its file; 0: as fast as it goes.
  std::uint64_t bytes_per_s = 0;
  /// Of memory for a table of the index (check_table.hpp); a larger index is asked for each object, which takes longer.
  std::uint64_t table_bytes_max = limits::kCheckTableBytesMax;
};

/// An object whose current version cannot be trusted or would not survive a rebuild.
struct DamagedObject {
  std::string bucket;
  std::string key;
  std::string reason;     ///< one sentence, with volume and byte offset
  bool readable = false;  ///< its bytes are intact: only what surrounds them is not
  std::uint64_t sequence = 0;
  bool index_only = false;  ///< its volume is fine: a rebuild of the index mends it
  std::string outcome;      ///< what --quarantine did with it, one sentence; empty: nothing
};

struct CheckReport {
  std::string directory;  ///< absolute
  std::uint64_t volumes = 0;
  std::uint64_t volume_bytes = 0;
  std::uint64_t members = 0;       ///< objects of every version, removals, buckets' notes, tables of block hashes
  std::uint64_t objects = 0;       ///< in the index
  std::uint64_t object_bytes = 0;  ///< of those
  std::uint64_t stale_bytes = 0;   ///< garbage: versions that were replaced or removed, and removals
  bool rebuilt = false;            ///< the index was made anew: asked for, unreadable, or after a loss of power
  std::vector<DamagedObject> damaged;
  std::vector<std::string> troubles;  ///< everything else that is wrong, one sentence each

  [[nodiscard]] bool healthy() const noexcept { return damaged.empty() && troubles.empty(); }
};

struct CheckProgress {
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
};

/// Verifies every member's header, data, block hashes and padding, and that index and volumes agree. Changes nothing but what
/// open() changes too (a torn tail is cut, the index catches up), unless options ask for it.
/// @param progress  called by one thread at a time, which may be another than the caller's.
/// @errors busy (in use), invalid (not a disk), denied, io. Damage is no error, nor is data that cannot be read, nor a volume:
///         they are in the report.
/// @cost   reads the whole disk once, with two threads; memory: 16 bytes an object and one bit for each sequence
///         number ever used.
[[nodiscard]] Result<CheckReport> check_disk(const std::string& directory, const CheckOptions& options,
                                             const std::function<void(const CheckProgress&)>& progress = {},
                                             base::FileSystem& fs = base::posix_file_system());

}  // namespace tarn::object
