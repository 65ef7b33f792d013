// stop_signal.hpp - SIGTERM, SIGINT and SIGUSR1 as one decision of all ranks: whoever gets one ends all.
// Level 7 (tools). Main thread only.
//
// Beside an application it is no rank's to decide: the store ends when the application has closed it.
//
// SIGUSR1 is the one that Open MPI's mpirun passes on and survives, so that it returns the ranks' 0; after SIGTERM or
// SIGINT it passes SIGTERM on a second later, and returns 1 whatever the ranks return.
#pragma once

#include <mpi.h>

#include <thread>

#include <tarn/object.hpp>

#include "base/file.hpp"

namespace tarn::tools {

class StopSignal {
 public:
  /// Blocks the signals in this thread and all that it starts later; wait() takes them.
  static void block();

  /// Collective. Returns when some rank has got a signal; true: this one has got SIGTERM or
  /// SIGINT from its parent, the launcher, which is about to kill. A rank that has one and does not
  /// hear from the others for kStopTimeout ends the job with MPI_Abort: a rank is lost, and nothing collective would return.
  /// @cost five messages of 4 bytes per rank and second.
  [[nodiscard]] static bool wait(MPI_Comm comm);
};

/// While it lives the same signals, blocked by StopSignal::block(), end nothing: each is said on standard error. For ranks whose store an
/// application uses.
class IgnoredSignals {
 public:
  explicit IgnoredSignals(RankId rank);
  IgnoredSignals(const IgnoredSignals&) = delete;
  IgnoredSignals& operator=(const IgnoredSignals&) = delete;
  ~IgnoredSignals();

 private:
  base::UniqueFd signals_, end_;  // signalfd, eventfd
  std::thread thread_;
};

}  // namespace tarn::tools
