#include "http/client_body.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace tarn::http {

Result<std::size_t> SpanBody::read(std::span<std::byte> target) {
  const std::size_t count = std::min(target.size(), bytes_.size() - position_);
  if (count > 0) std::memcpy(target.data(), bytes_.data() + position_, count);
  position_ += count;
  return count;
}

bool SpanBody::rewind() {
  position_ = 0;
  return true;
}

Result<FileBody> FileBody::open(const std::string& path) {
  TARN_TRY(auto file, base::posix_file_system().open(path, base::OpenMode::read));
  struct stat status {};
  if (::fstat(file->descriptor(), &status) != 0) return fail(base::errno_error(errno, "stat", path));
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, path + " is not a regular file");
  return FileBody(std::move(file), static_cast<std::uint64_t>(status.st_size));
}

Result<std::size_t> FileBody::read(std::span<std::byte> target) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(target.size(), size_bytes_ - position_));
  if (wanted == 0) return 0;
  TARN_TRY(const std::size_t count, file_->read_at(position_, target.first(wanted)));
  if (count < wanted) return fail(ErrorCode::corrupt, file_->path() + " became shorter while it was read");
  position_ += count;
  return count;
}

bool FileBody::rewind() {
  position_ = 0;
  return true;
}

Result<std::size_t> StreamBody::read(std::span<std::byte> target) {
  started_ = true;
  for (;;) {
    const ssize_t count = ::read(descriptor_, target.data(), target.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) return fail(base::errno_error(errno, "read", name_));
  }
}

}  // namespace tarn::http
