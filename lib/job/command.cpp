#include "job/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/limits.hpp"

namespace tarn::job {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kOutputBytesMax = limits::MiB;
constexpr std::chrono::seconds kKilledWait{1};  // one that hangs in the kernel stays a zombie

/// A list of pointers to texts that live elsewhere, as exec wants it.
std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// @return its process id. @errors not_found, io.
Result<pid_t> start(std::vector<std::string> words, const Environment& environment, int output) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;  // signals that this process blocks are its own affair
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, words[0].c_str(), &files, &attributes, pointers(words).data(), pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == ENOENT) return fail(ErrorCode::not_found, "there is no command '" + words[0] + "'");
  if (error != 0) return fail(base::errno_error(error, "start", words[0]));
  return pid;
}

/// Reads until the end of the output. @return false: not before `deadline`.
bool read_all(int output, Clock::time_point deadline, std::string& text) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd readable{output, POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(left)) <= 0) continue;  // the time is looked at above
    char buffer[4096];
    const ssize_t size = ::read(output, buffer, sizeof buffer);
    if (size == 0 || (size < 0 && errno != EINTR)) return true;
    if (size > 0 && text.size() < kOutputBytesMax) text.append(buffer, static_cast<std::size_t>(size));
  }
}

/// Its exit status; nullopt: it has not ended by `deadline`.
std::optional<int> wait_for(pid_t pid, Clock::time_point deadline) {
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) return status;
    if (ended < 0 && errno != EINTR) return 0;  // somebody else has waited for it, or SIGCHLD is ignored: the output says what there is
    if (Clock::now() >= deadline) return std::nullopt;
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace

Result<std::string> output_of(const std::vector<std::string>& words, const Environment& environment, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(base::errno_error(errno, "make a pipe for", words[0]));
  const base::UniqueFd output(ends[0]);
  base::UniqueFd input(ends[1]);
  TARN_TRY(const pid_t pid, start(words, environment, ends[1]));
  input = base::UniqueFd();
  std::string text;
  const bool read = read_all(output.get(), deadline, text);
  const auto status = read ? wait_for(pid, deadline) : std::nullopt;
  if (!status) {
    ::kill(pid, SIGKILL);
    static_cast<void>(wait_for(pid, Clock::now() + kKilledWait));
    return fail(ErrorCode::timeout, "'" + words[0] + "' did not end within " + std::to_string(limit.count()) + " ms");
  }
  if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0)
    return fail(ErrorCode::io,
                "'" + words[0] + "' failed " +
                    (WIFEXITED(*status) ? "with status " + std::to_string(WEXITSTATUS(*status)) : "by signal " + std::to_string(WTERMSIG(*status))));
  return text;
}

}  // namespace tarn::job
