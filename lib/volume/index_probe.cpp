#include "volume/index_probe.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "base/error.hpp"
#include "volume/index.hpp"
#include "volume/record.hpp"

namespace tarn::volume {

namespace {

constexpr std::size_t kWordsMax = 2000;  // less than a pipe holds: the child does not wait for its parent

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

/// What the child has found, as its exit code; the words follow through the pipe. Anything but damage speaks of this moment, not of the index.
enum : int { kGood = 0, kDamaged = 1, kError = 2 };  // kError + the error's code

int look(base::FileSystem& fs, const std::string& directory, std::string& words) {
  Error error(ErrorCode::busy, directory + ": there is not enough memory to look at the index");
  try {
    const auto used = use_index(fs, directory);
    if (used) return kGood;
    error = used.error();
  } catch (...) {
  }
  words = error.message;
  return error.code == ErrorCode::corrupt ? kDamaged : kError + static_cast<int>(error.code);
}

[[noreturn]] void run_child(base::FileSystem& fs, const std::string& directory, int pipe) {
  // The parent says what there is to say; what its program does about its own crashes is not for this one.
  for (const int signal : {SIGABRT, SIGBUS, SIGSEGV, SIGFPE, SIGILL}) std::signal(signal, SIG_DFL);
  const int silence = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (silence >= 0) ::dup2(silence, STDERR_FILENO);
  std::string words;
  const int code = look(fs, directory, words);
  (void)!::write(pipe, words.data(), std::min(words.size(), kWordsMax));
  ::_exit(code);
}

/// What a damaged page does to a process; any other signal comes from outside.
bool is_damage(int signal) {
  return signal == SIGABRT || signal == SIGBUS || signal == SIGSEGV || signal == SIGFPE || signal == SIGILL;
}

std::string read_words(int pipe) {
  std::string words(kWordsMax, '\0');
  std::size_t filled = 0;
  while (filled < words.size()) {
    const ssize_t got = ::read(pipe, words.data() + filled, words.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  words.resize(filled);
  return words;
}

}  // namespace

Result<std::string> probe_index(base::FileSystem& fs, const std::string& directory) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(base::errno_error(errno, "pipe for a look at", directory));
  const base::UniqueFd out(ends[0]);
  base::UniqueFd in(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail(base::errno_error(errno, "fork for a look at", directory));
  if (child == 0) run_child(fs, directory, in.get());
  in.reset();
  const std::string words = read_words(out.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail(base::errno_error(errno, "wait for the look at", directory));
  if (WIFSIGNALED(status)) {
    const std::string signal = " a process with signal " + std::to_string(WTERMSIG(status));
    if (is_damage(WTERMSIG(status))) return directory + ": is damaged: reading it ends" + signal;
    return fail(ErrorCode::busy, directory + ": somebody ended" + signal + " while it looked at the index (is there too little memory?); try again");
  }
  if (WEXITSTATUS(status) == kGood) return std::string();
  if (WEXITSTATUS(status) == kDamaged) return directory + ": is damaged: it cannot be read from one end to the other (" + words + ")";
  return fail(static_cast<ErrorCode>(WEXITSTATUS(status) - kError), words);
}

}  // namespace tarn::volume
