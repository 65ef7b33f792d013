#include "mpi/tools/standard_output.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <iostream>

#include "base/error.hpp"

namespace tarn::tools {

namespace {

/// As a process that never heard of SIGPIPE: `tarn ls | head -1` is no failure to talk about.
[[noreturn]] void end_by_sigpipe() {
  std::signal(SIGPIPE, SIG_DFL);
  static_cast<void>(::raise(SIGPIPE));
  ::_exit(128 + SIGPIPE);  // where the signal is blocked
}

/// Of a pipe or socket whose other end is closed.
bool stdout_has_no_reader() {
  pollfd entry{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace

Result<void> write_all(int descriptor, std::string_view name, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(base::errno_error(errno, "write", name));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> write_stdout(std::span<const std::byte> bytes) {
  auto written = write_all(STDOUT_FILENO, "standard output", bytes);
  if (!written && stdout_has_no_reader()) end_by_sigpipe();
  return written;
}

Result<void> flush_stdout() {
  std::cout.flush();
  if (std::cout) return {};
  if (stdout_has_no_reader()) end_by_sigpipe();
  return fail(ErrorCode::io, "cannot write to standard output");
}

}  // namespace tarn::tools
