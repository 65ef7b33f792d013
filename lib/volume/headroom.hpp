// headroom.hpp - keeps some of a disk's space for the index and for removals, so that a full store can still be listed,
// emptied, closed and opened again.
// Level 2 (volume). Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::volume {

class Headroom {
 public:
  Headroom(base::FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}

  /// Before an object's bytes are written. @errors no_space: they would take what is kept.
  /// @cost a statvfs each quarter of what is kept (16 MiB on a disk of 1 GiB or more), else an atomic subtraction.
  [[nodiscard]] Result<void> take(std::uint64_t bytes);

 private:
  base::FileSystem& fs_;
  const std::string directory_;
  std::atomic<std::int64_t> granted_{0};  // bytes that may be written before the file system is asked again
};

}  // namespace tarn::volume
