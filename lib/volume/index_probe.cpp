#include "volume/index_probe.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/error.hpp"
#include "volume/index.hpp"
#include "volume/record.hpp"

namespace tarn::volume {

namespace {

Result<void> use_index(base::FileSystem& fs, const std::string& directory) {
  TARN_TRY(const auto index, Index::open(fs, directory));
  TARN_CHECK(index->counters());
  TARN_CHECK(index->volumes());
  TARN_CHECK(index->buckets());
  bool damaged = false;
  TARN_CHECK(index->scan({}, [&](std::string_view, std::span<const std::byte> value) {
    damaged |= !is_removal(value) && !decode_brief(value) && !decode_record(value);  // the first one is faster
    return ScanStep{};
  }));
  if (damaged) return fail(ErrorCode::corrupt, directory + ": an entry is damaged");
  Batch nothing;
  TARN_CHECK(index->commit(nothing));
  return {};
}

}  // namespace

Result<std::string> probe_index(base::FileSystem& fs, const std::string& directory) {
  const pid_t child = ::fork();
  if (child < 0) return fail(base::errno_error(errno, "fork for a look at", directory));
  if (child == 0) {
    // The parent says what there is to say; what its program does about its own crashes is not for this one.
    for (const int signal : {SIGABRT, SIGBUS, SIGSEGV, SIGFPE, SIGILL}) std::signal(signal, SIG_DFL);
    const int silence = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (silence >= 0) ::dup2(silence, STDERR_FILENO);
    bool good = false;
    try {
      good = use_index(fs, directory).has_value();
    } catch (...) {  // to be told apart from a good one, no more
    }
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail(base::errno_error(errno, "wait for the look at", directory));
  if (WIFSIGNALED(status)) return directory + ": is damaged: reading it ends a process with signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return directory + ": is damaged: it cannot be read from one end to the other";
  return std::string();
}

}  // namespace tarn::volume
