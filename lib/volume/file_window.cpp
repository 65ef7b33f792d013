#include "volume/file_window.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace tarn::volume {

Result<std::span<const std::byte>> FileWindow::at(std::uint64_t offset, std::size_t length) {
  if (offset < begin_ || offset + length > begin_ + filled_) {
    const bool follows = offset >= begin_ && offset <= begin_ + filled_;
    ahead_bytes_ = follows ? std::min(2 * ahead_bytes_, window_bytes_) : kJumpBytes;
    const std::size_t kept = follows ? static_cast<std::size_t>(begin_ + filled_ - offset) : 0;
    const std::size_t size = std::max(length, ahead_bytes_);
    if (buffer_.size() < size) buffer_.resize(size);
    if (kept > 0) std::memmove(buffer_.data(), buffer_.data() + (offset - begin_), kept);
    begin_ = offset;
    filled_ = kept;
    auto got = file_.read_at(offset + kept, std::span(buffer_).subspan(kept, size - kept));
    if (!got && size > length) got = file_.read_at(offset + kept, std::span(buffer_).subspan(kept, length - kept));  // it was further on
    if (!got) return fail(std::move(got).error());
    filled_ += *got;
  }
  const std::span<const std::byte> all(buffer_.data(), filled_);
  const auto skip = static_cast<std::size_t>(offset - begin_);
  return all.subspan(skip, std::min(length, filled_ - skip));
}

}  // namespace tarn::volume
