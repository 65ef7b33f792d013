// simulation.cpp - how a simulation uses Tarn: checkpoints of all ranks, a neighbour's checkpoint read
// back, a listing, and the samples of all ranks shuffled into shards for training.
//   mpirun -n 4 ./simulation DIRECTORY       (DIRECTORY/rank-N is the disk of rank N)
// Says what it does on rank 0; exit code 0 when everything read equals what was written.
#include <mpi.h>
#include <tarn/open.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace {

constexpr int kSteps = 30;
constexpr int kStepsPerCheckpoint = 10;
constexpr int kSamplesPerRank = 50;
constexpr std::size_t kCells = 200'000;  // 1.6 MB of doubles for each rank

int world_rank = 0;

/// The value of a call that must work; otherwise its reason is printed and the job ends.
template <class T>
T must(tarn::Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "simulation: rank %d: %s: %s\n", world_rank, what, result.error().message.c_str());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "simulation: rank %d: not as expected: %s\n", world_rank, what);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

void say(const std::string& text) {
  if (world_rank == 0) std::printf("%s\n", text.c_str());
}

/// Heat on a rod that is cut into one piece for each rank. Every rank can compute what any piece
/// looks like after a number of steps, so that what comes back from the store can be checked.
class Piece {
 public:
  explicit Piece(int rank) : cells_(kCells) {
    for (std::size_t i = 0; i < kCells; ++i) cells_[i] = static_cast<double>((i * 31 + static_cast<std::size_t>(rank) * 17) % 1000);
  }
  void step() {
    double left = cells_.front();
    for (std::size_t i = 1; i + 1 < kCells; ++i) {
      const double here = cells_[i];
      cells_[i] = 0.25 * left + 0.5 * here + 0.25 * cells_[i + 1];
      left = here;
    }
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(std::span(cells_)); }

 private:
  std::vector<double> cells_;
};

tarn::ObjectName checkpoint_name(int step, int rank) {
  char key[64];
  std::snprintf(key, sizeof key, "step-%04d/rank-%04d.bin", step, rank);
  return {"checkpoints", key};
}

/// What a training job wants of this rank: small records, each of an image and a class.
void put_samples(tarn::Store& store, int rank) {
  for (int i = 0; i < kSamplesPerRank; ++i) {
    char key[64];
    std::snprintf(key, sizeof key, "samples/rank-%04d-%04d", rank, i);
    const std::string image(static_cast<std::size_t>(2000 + 37 * i), static_cast<char>('a' + rank % 26));
    const std::string label = std::to_string(i % 10);
    must(store.put({"training", std::string(key) + ".img"}, std::as_bytes(std::span(image))), "put an image");
    must(store.put({"training", std::string(key) + ".cls"}, std::as_bytes(std::span(label))), "put a class");
  }
}

/// Computes, writes a checkpoint now and then, and reads the neighbour's as a restart would.
void compute(tarn::Store& store, MPI_Comm comm, int rank, int ranks) {
  const int neighbour = (rank + 1) % ranks;
  Piece mine(rank);
  Piece theirs(neighbour);
  for (int step = 1; step <= kSteps; ++step) {
    mine.step();
    theirs.step();  // only to know what must come back
    if (step % kStepsPerCheckpoint != 0) continue;
    tarn::PutOptions options;
    options.user_metadata = {{"step", std::to_string(step)}};
    must(store.put(checkpoint_name(step, rank), mine.bytes(), options), "write a checkpoint");
    MPI_Barrier(comm);  // now every rank's checkpoint is there
    const auto read = must(store.get(checkpoint_name(step, neighbour)), "read the neighbour's checkpoint");
    const auto wanted = theirs.bytes();
    expect(read.size() == wanted.size() && std::memcmp(read.data(), wanted.data(), read.size()) == 0, "the neighbour's checkpoint");
    const auto info = must(store.head(checkpoint_name(step, neighbour)), "look at the neighbour's checkpoint");
    expect(info.user_metadata == options.user_metadata, "the neighbour's metadata");
    say("step " + std::to_string(step) + ": checkpoints of " + std::to_string(ranks) + " ranks written, the neighbour's read back");
  }
}

/// All keys below a prefix, page by page.
std::vector<tarn::ObjectInfo> list_all(tarn::Store& store, const std::string& bucket, const std::string& prefix) {
  std::vector<tarn::ObjectInfo> all;
  tarn::ListOptions options;
  options.prefix = prefix;
  options.max_keys = 64;  // small, to show paging
  for (bool more = true; more;) {
    auto page = must(store.list(bucket, options), "list");
    all.insert(all.end(), page.objects.begin(), page.objects.end());
    options.start_after = page.next_start_after;
    more = page.truncated;
  }
  return all;
}

void shuffle_into_shards(tarn::Store& store, int ranks) {
  tarn::DsortSpec spec;
  spec.input.bucket = "training";
  spec.input.prefix = "samples/";
  spec.output_template = "shards/train-%04d.tar";
  spec.shard_samples = 40;
  spec.order = tarn::DsortOrder::shuffle;
  spec.seed = 1;
  const auto report = must(store.dsort(spec), "dsort");  // collective
  const auto samples = static_cast<std::uint64_t>(ranks) * kSamplesPerRank;
  expect(report.samples == samples && report.members == 2 * samples, "the number of samples");
  const auto shards = list_all(store, "training", "shards/");
  expect(shards.size() == report.shards && report.shards == (samples + 39) / 40, "the number of shards");

  // Each rank reads the shards that its own disk holds: no byte crosses the network.
  std::uint64_t local_bytes = 0;
  for (const auto& shard : shards) {
    const tarn::ObjectName name{"training", shard.key};
    if (must(store.owner(name), "find the owner") == store.rank()) local_bytes += must(store.get(name), "read a shard").size();
  }
  std::printf("rank %d: %.1f KB of shards are on its own disk\n", store.rank(), static_cast<double>(local_bytes) / 1000);
  say("dsort: " + std::to_string(report.samples) + " samples shuffled into " + std::to_string(report.shards) + " shards");
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  // The simulation talks MPI while the store's thread does: that is what MULTIPLE means.
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  if (argc != 2) {
    if (world_rank == 0) std::fprintf(stderr, "usage: mpirun -n N %s DIRECTORY\n", argv[0]);
    MPI_Finalize();
    return 64;
  }
  expect(provided == MPI_THREAD_MULTIPLE, "MPI_THREAD_MULTIPLE");

  // The store may live on any communicator; this one holds all ranks, as one of their own.
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, 0, world_rank, &comm);
  int ranks = 0;
  MPI_Comm_size(comm, &ranks);

  tarn::StoreOptions options;
  options.directories = {std::string(argv[1]) + "/rank-{rank}"};
  tarn::Store store = must(tarn::open(comm, options), "open the store");
  if (world_rank == 0) {
    must(store.create_bucket("checkpoints"), "create a bucket");
    must(store.create_bucket("training"), "create a bucket");
  }
  MPI_Barrier(comm);

  compute(store, comm, world_rank, ranks);
  put_samples(store, world_rank);
  MPI_Barrier(comm);
  expect(list_all(store, "checkpoints", "").size() == static_cast<std::size_t>(ranks * kSteps / kStepsPerCheckpoint), "the list of checkpoints");
  shuffle_into_shards(store, ranks);

  must(store.close(), "close the store");  // collective, and before MPI_Finalize
  MPI_Comm_free(&comm);
  MPI_Finalize();
  say("done");
  return 0;
}
