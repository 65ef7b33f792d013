// check_volume.hpp - reads one volume from its first byte to its last and says what is wrong with it: a part of check_disk.
// Level 3 (object). Any number of threads, each with a volume of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "object/check.hpp"
#include "object/check_table.hpp"
#include "object/part_owners.hpp"
#include "volume/disk.hpp"

namespace tarn::object {

/// Which sequences of the index have been met in a volume.
class SeenSequences {
 public:
  explicit SeenSequences(std::uint64_t last) : seen_(last + 1) {}
  void add(const std::vector<std::uint64_t>& sequences) {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t sequence : sequences) {
      if (sequence >= seen_.size() || seen_[sequence]) continue;
      seen_[sequence] = true;
      ++count_;
    }
  }
  /// Both once nobody adds any more.
  [[nodiscard]] bool has(std::uint64_t sequence) const { return sequence < seen_.size() && seen_[sequence]; }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  std::mutex mutex_;  // guards the rest
  std::vector<bool> seen_;
  std::size_t count_ = 0;
};

/// What all volumes' checks share.
struct CheckShared {
  base::FileSystem& fs;
  const volume::Disk& disk;
  SeenSequences& seen;
  const CheckTable* table;  ///< nullptr: every object is looked up
  const PartOwners& parts;
  std::function<void(std::uint64_t)> advance;  ///< bytes that are looked at now; any thread; may wait
};

struct VolumeFindings {
  std::uint64_t members = 0;
  std::uint64_t stale_bytes = 0;
  std::vector<std::uint64_t> copies;  ///< sequences of current versions that the index looks for elsewhere
  std::vector<DamagedObject> damaged;
  std::vector<std::string> troubles;
  bool part_seen = false;  ///< the member that an assembled object needs of this volume
  std::string unread;      ///< why the rest of the volume could not be read; empty: it was read to its end
};

/// @errors io: the volume cannot be opened; corrupt: the index.
[[nodiscard]] Result<VolumeFindings> check_volume(const CheckShared& shared, std::uint64_t volume);

}  // namespace tarn::object
