// scale_ranks.cpp - what it takes to open and close a store of P ranks, one disk each. Run by scale_ranks_bench.sh, under mpirun.
//
//   scale_ranks DIR [ROUNDS=3]     ROUNDS 0: MPI alone, to be taken off what an MPI library counts of a whole run
//
// Rank 0 prints, in one line: ranks, seconds of the first open (new disks), of a later open and of a close (the fastest of the rounds; of each the
// slowest rank's), this rank's greatest resident memory in MB.
#include <mpi.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

#include <tarn/open.hpp>

namespace {

/// Collective. The slowest rank's time.
double slowest(const std::function<void()>& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto begin = std::chrono::steady_clock::now();
  work();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

[[noreturn]] void stop(const tarn::Error& error) {
  std::fprintf(stderr, "scale_ranks: %s\n", error.message.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  int level = 0, rank = 0, ranks = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  tarn::StoreOptions options;
  options.directories = {std::string(argc > 1 ? argv[1] : "/tmp") + "/rank-{rank}"};
  options.sidecar.enabled = true;
  options.sidecar.threads = 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
  double first = 0, later = 1e9, close = 1e9;
  for (int round = 0; round < rounds; ++round) {
    std::optional<tarn::Store> store;
    const double opened = slowest([&] {
      auto made = tarn::open(MPI_COMM_WORLD, options);
      if (!made) stop(made.error());
      store.emplace(std::move(*made));
    });
    if (round == 0) first = opened;
    if (round > 0 || rounds == 1) later = std::min(later, opened);
    close = std::min(close, slowest([&] {
                       if (auto closed = store->close(); !closed) stop(closed.error());
                     }));
  }
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  if (rank == 0 && rounds > 0) std::printf("%d %.4f %.4f %.4f %.1f\n", ranks, first, later, close, static_cast<double>(used.ru_maxrss) / 1024);
  MPI_Finalize();
  return 0;
}
