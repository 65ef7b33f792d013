// stop_signal.hpp - SIGTERM, SIGINT and SIGUSR1 as one decision of all ranks: whoever gets one ends all.
// Level 7 (tools). Main thread only.
//
// SIGUSR1 is the one that Open MPI's mpirun passes on and survives, so that it returns the ranks' 0; after SIGTERM or
// SIGINT it passes SIGTERM on a second later, and returns 1 whatever the ranks return.
#pragma once

#include <mpi.h>

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

}  // namespace tarn::tools
