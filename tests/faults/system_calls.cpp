#include "system_calls.hpp"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>

namespace tarn::tests {

FaultPlan* index_plan = nullptr;
std::size_t transfer_bytes_max = 0;

namespace {

std::atomic<unsigned> transfers{0};

std::string path_of(int fd) {
  std::array<char, 512> text{};
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), text.data(), text.size());
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(0, length))};
}

bool is_index(const std::string& path) {
  return path.ends_with("/index/data.mdb");
}

/// Sets errno when the call is to fail.
bool fails(Call call, int fd) {
  if (index_plan == nullptr) return false;
  const std::string path = path_of(fd);
  if (!is_index(path)) return false;
  const auto error = index_plan->meet(call, path);
  if (error) errno = *error;
  return error.has_value();
}

bool interrupted() {
  if (transfers.fetch_add(1) % 3 != 0) return false;
  errno = EINTR;
  return true;
}

bool is_short(int fd) {
  return transfer_bytes_max != 0 && path_of(fd).find("/volumes/") != std::string::npos;
}

}  // namespace
}  // namespace tarn::tests

using namespace tarn::tests;

extern "C" {

ssize_t pread(int fd, void* target, size_t size, off_t offset) {
  if (is_short(fd)) {
    if (interrupted()) return -1;
    size = std::min(size, transfer_bytes_max);
  }
  return ::syscall(SYS_pread64, fd, target, size, offset);
}

ssize_t pwrite(int fd, const void* source, size_t size, off_t offset) {
  if (fails(Call::write, fd)) return -1;
  return ::syscall(SYS_pwrite64, fd, source, size, offset);
}

ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  if (fails(Call::write, fd)) return -1;
  if (!is_short(fd)) return ::syscall(SYS_pwritev, fd, pieces, count, offset, 0);
  if (interrupted()) return -1;
  std::array<iovec, 16> some{};  // of the pieces: as much as may go at a time, over their borders
  std::size_t left = transfer_bytes_max;
  int used = 0;
  for (int i = 0; i < count && left > 0; ++i) {
    some[static_cast<std::size_t>(used)] = {pieces[i].iov_base, std::min(pieces[i].iov_len, left)};
    left -= some[static_cast<std::size_t>(used++)].iov_len;
  }
  return ::syscall(SYS_pwritev, fd, some.data(), used, offset, 0);
}

ssize_t write(int fd, const void* source, size_t size) {
  if (fails(Call::write, fd)) return -1;
  return ::syscall(SYS_write, fd, source, size);
}

ssize_t writev(int fd, const iovec* pieces, int count) {
  if (fails(Call::write, fd)) return -1;
  return ::syscall(SYS_writev, fd, pieces, count);
}

int fdatasync(int fd) {
  if (fails(Call::sync, fd)) return -1;
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

int ftruncate(int fd, off_t size) noexcept {
  if (fails(Call::truncate, fd)) return -1;
  return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
}

}  // extern "C"
