// stop_signal.hpp - SIGTERM and SIGINT as one decision of all ranks: whoever gets one ends all.
// Level 7 (tools). Main thread only.
#pragma once

#include <mpi.h>

namespace tarn::tools {

class StopSignal {
 public:
  /// Blocks the signals in this thread and all that it starts later; wait() takes them.
  static void block();

  /// Collective. Returns when some rank has got a signal. A rank that has one and does not hear from the others for
  /// kStopTimeout ends the job with MPI_Abort: a rank is lost, and nothing collective would return.
  /// @cost five messages of 4 bytes per rank and second.
  static void wait(MPI_Comm comm);
};

}  // namespace tarn::tools
