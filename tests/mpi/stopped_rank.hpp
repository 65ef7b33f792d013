// stopped_rank.hpp - a rank of this job whose process the kernel has stopped: as good as dead for the others, until it goes on.
#pragma once

#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <vector>

#include "mpi/mpi_test.hpp"

namespace tarn::tests {

/// Collective. The process of each rank; all on this machine, as in every job of the tests.
inline std::vector<int> processes_of_ranks() {
  std::vector<int> pids(static_cast<std::size_t>(world_size()));
  const int own = ::getpid();
  MPI_Allgather(&own, 1, MPI_INT, pids.data(), 1, MPI_INT, MPI_COMM_WORLD);
  return pids;
}

class StoppedProcess {
 public:
  explicit StoppedProcess(int pid) : pid_(pid) { REQUIRE(::kill(pid_, SIGSTOP) == 0); }
  StoppedProcess(const StoppedProcess&) = delete;
  StoppedProcess& operator=(const StoppedProcess&) = delete;
  ~StoppedProcess() { ::kill(pid_, SIGCONT); }

 private:
  const int pid_;
};

}  // namespace tarn::tests
