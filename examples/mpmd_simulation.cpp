// mpmd_simulation.cpp - a simulation that shares its job with ranks that only store, and has no disks of its own:
//   mpirun -n 2 tarn serve --dir DIRECTORY/disk-{rank} : -n 6 ./mpmd_simulation
// `tarn serve` may come first or last; it ends by itself when all ranks of the simulation have closed the store.
// Says what it does on its first rank; exit code 0 when everything read equals what was written.
#include <mpi.h>
#include <tarn/open.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int kSteps = 30;
constexpr int kStepsPerCheckpoint = 10;
constexpr std::size_t kCells = 50'000;

/// The value of a call that must work; otherwise its reason is printed and the job ends.
template <class T>
T must(tarn::Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "mpmd_simulation: %s: %s\n", what, result.error().message.c_str());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "mpmd_simulation: not as expected: %s\n", what);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

tarn::ObjectName checkpoint_name(int step, int rank) {
  char key[64];
  std::snprintf(key, sizeof key, "step-%04d/rank-%04d.bin", step, rank);
  return {"checkpoints", key};
}

/// Some numbers that change with each step; any rank can compute what another one's are.
std::vector<double> cells_of(int rank, int step) {
  std::vector<double> cells(kCells);
  for (std::size_t i = 0; i < kCells; ++i) cells[i] = static_cast<double>((i * 31 + static_cast<std::size_t>(rank * 17 + step)) % 1000);
  return cells;
}

double sum_of(const std::vector<double>& cells) {
  double sum = 0;
  for (const double cell : cells) sum += cell;
  return sum;
}

/// All that the simulation does with MPI, it does on `comm`: MPI_COMM_WORLD holds the ranks of `tarn serve` as well.
void simulate(tarn::Store& store, MPI_Comm comm) {
  int rank = 0, ranks = 0;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &ranks);
  for (int step = 1; step <= kSteps; ++step) {
    const auto mine = cells_of(rank, step);
    const double my_sum = sum_of(mine);
    double total = 0;
    MPI_Allreduce(&my_sum, &total, 1, MPI_DOUBLE, MPI_SUM, comm);
    if (step % kStepsPerCheckpoint != 0) continue;
    must(store.put(checkpoint_name(step, rank), std::as_bytes(std::span(mine))), "write a checkpoint");
    MPI_Barrier(comm);
    const int neighbour = (rank + 1) % ranks;
    const auto read = must(store.get(checkpoint_name(step, neighbour)), "read the neighbour's checkpoint");
    const auto wanted = cells_of(neighbour, step);
    expect(read.size() == wanted.size() * sizeof(double) && std::memcmp(read.data(), wanted.data(), read.size()) == 0, "the checkpoint");
    if (rank == 0) std::printf("step %d: total %.0f; checkpoints of %d ranks are in the store\n", step, total, ranks);
  }
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  expect(provided == MPI_THREAD_MULTIPLE, "MPI_THREAD_MULTIPLE");
  // No directories: this rank is a client. What it says nothing about is as `tarn serve` was told.
  tarn::Store store = must(tarn::open(MPI_COMM_WORLD, tarn::StoreOptions{}), "open the store");
  const MPI_Comm comm = tarn::application_communicator(store);  // valid until close()
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  if (rank == 0) must(store.create_bucket("checkpoints"), "create a bucket");
  MPI_Barrier(comm);
  simulate(store, comm);
  must(store.flush(), "flush the store");  // collective over the simulation's ranks; those of `tarn serve` take part by themselves
  must(store.close(), "close the store");
  MPI_Finalize();
  if (rank == 0) std::printf("done\n");
  return 0;
}
