#include "mpi/tools/stop_signal.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <iostream>
#include <string>

#include "base/error.hpp"

namespace tarn::tools {

namespace {

using Clock = std::chrono::steady_clock;

constexpr long kIdlePauseMs = 200;  // how late a rank without a signal learns of another's
constexpr long kBusyPauseMs = 1;    // once this rank wants to stop
constexpr std::chrono::seconds kStopTimeout{20};

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGUSR1);
  return set;
}

enum class Signal : std::uint8_t { none, from_launcher, from_other };

/// What came within the time.
Signal wait_for_signal(long wait_ms) {
  const sigset_t set = stop_signals();
  const timespec limit{wait_ms / 1000, wait_ms % 1000 * 1'000'000};
  siginfo_t info{};
  const int number = ::sigtimedwait(&set, &info, &limit);
  if (number <= 0) return Signal::none;
  return number != SIGUSR1 && info.si_pid == ::getppid() ? Signal::from_launcher : Signal::from_other;
}

}  // namespace

void StopSignal::block() {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

// Rounds of a non-blocking reduction: each rank contributes whether it has a signal, all see the sum in the same round.
bool StopSignal::wait(MPI_Comm comm) {
  bool wanted = false;
  bool by_launcher = false;
  Clock::time_point wanted_since;
  for (;;) {
    const int mine = wanted ? 1 : 0;
    int any = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallreduce(&mine, &any, 1, MPI_INT, MPI_MAX, comm, &request);
    int done = 0;
    while (true) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done != 0 && (any != 0 || wanted)) break;
      const Signal signal = wait_for_signal(wanted ? kBusyPauseMs : kIdlePauseMs);
      by_launcher = by_launcher || signal == Signal::from_launcher;
      if (signal != Signal::none && !wanted) {
        wanted = true;
        wanted_since = Clock::now();
      }
      if (done != 0) break;
      if (wanted && Clock::now() - wanted_since > kStopTimeout) {
        std::cerr << "tarn serve: other ranks do not answer; the job is ended without them\n";
        MPI_Abort(comm, base::error_row(ErrorCode::rank_lost).exit_code);
      }
    }
    if (any != 0) return by_launcher;
  }
}

IgnoredSignals::IgnoredSignals(RankId rank) : end_(::eventfd(0, EFD_CLOEXEC)) {
  const sigset_t set = stop_signals();
  signals_ = base::UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_ || !end_) return;  // they stay blocked, unsaid
  thread_ = std::thread([this, rank] {
    pollfd fds[2] = {{signals_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}};
    while (::poll(fds, 2, -1) < 0 || fds[1].revents == 0) {
      signalfd_siginfo info{};
      if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) continue;
      const char* const name = ::sigabbrev_np(static_cast<int>(info.ssi_signo));
      std::cerr << "tarn serve: rank " + std::to_string(rank) + ": SIG" + (name != nullptr ? name : "?") +
                       " ends nothing: the application of this job uses the store, which ends when all its ranks have closed it\n";
    }
  });
}

IgnoredSignals::~IgnoredSignals() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(end_.get(), &one, sizeof(one));
  thread_.join();
}

}  // namespace tarn::tools
