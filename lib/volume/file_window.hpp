// file_window.hpp - reads a file through a window in memory that moves forward.
// Level 2 (volume). One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/limits.hpp"

namespace tarn::volume {

/// Reads ahead more and more while it is asked for what follows, and little after a jump.
class FileWindow {
 public:
  /// `file` must outlive this. @param window_bytes  read at once, at most.
  explicit FileWindow(const base::File& file, std::size_t window_bytes = 64 * limits::KiB) : file_(file), window_bytes_(window_bytes) {}

  /// @return fewer bytes than asked for only at the file's end. Valid until the next call. @errors io: of these bytes, not of what
  ///         follows them.
  [[nodiscard]] Result<std::span<const std::byte>> at(std::uint64_t offset, std::size_t length);
  [[nodiscard]] const base::File& file() const noexcept { return file_; }

 private:
  static constexpr std::size_t kJumpBytes = 8 * limits::KiB;

  const base::File& file_;
  const std::size_t window_bytes_;
  std::size_t ahead_bytes_ = kJumpBytes;
  std::vector<std::byte> buffer_;
  std::uint64_t begin_ = 0;  // of the window in the file
  std::size_t filled_ = 0;
};

}  // namespace tarn::volume
