// mpmd_application.cpp - an application beside `tarn serve` that a test can hold: it writes, says that it runs, waits, reads, closes.
//   mpmd_application HOLD [--dir DIR] [--node-id-from-rank] [--bad] [--forget all|one]
// Makes HOLD.running, then waits for the file HOLD. --bad: its ranks want different request timeouts. --forget: all its ranks, or the
// job's last one, destroy the store without close().
// TARN_TEST_THREADS=funneled or serialized: without MPI_THREAD_MULTIPLE. Exit code 0: all as expected; 3: the store was not opened.
#include <mpi.h>
#include <unistd.h>
#include <tarn/open.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

void expect(bool condition, const std::string& what) {
  if (condition) return;
  std::cerr << "mpmd_application: not as expected: " + what + "\n";
  MPI_Abort(MPI_COMM_WORLD, 1);
}

/// Waits, as an application without MPI_THREAD_MULTIPLE must: the store answers meanwhile.
void wait_for(tarn::Store& store, const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  while (!condition()) {
    expect(std::chrono::steady_clock::now() < limit, "waited too long");
    if (!store.progress()) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

void barrier(tarn::Store& store, MPI_Comm comm) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(comm, &request);
  wait_for(store, [&] {
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    return done != 0;
  });
}

std::vector<std::byte> bytes_of(int rank, std::size_t size) {
  return std::vector<std::byte>(size, static_cast<std::byte>('a' + rank % 26));
}

void use(tarn::Store& store, const std::string& hold) {
  const MPI_Comm comm = tarn::application_communicator(store);
  int rank = 0, ranks = 0;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &ranks);
  if (rank == 0) {
    const auto made = store.create_bucket("app");
    expect(made.has_value(), made ? "" : made.error().message);
  }
  barrier(store, comm);
  const std::string own = std::to_string(rank);
  expect(store.put({"app", "small-" + own}, bytes_of(rank, 100)).has_value(), "put");
  expect(store.put({"app", "large-" + own}, bytes_of(rank, 3 << 20)).has_value(), "put");
  barrier(store, comm);
  if (rank == 0) std::ofstream(hold + ".running") << ranks;
  wait_for(store, [&] { return std::filesystem::exists(hold); });
  if (rank == 0) return;  // closes while the others still read
  for (int r = 0; r < ranks; ++r) {
    const auto read = store.get({"app", "large-" + std::to_string(r)});
    expect(read && *read == bytes_of(r, 3 << 20), "get: " + (read ? std::string() : read.error().message));
  }
  expect(store.list("app").has_value(), "list");
}

/// Closes the store, or forgets to, as MPI_Finalize follows.
void leave(std::optional<tarn::Store>& store, const std::string& who_forgets) {
  if (who_forgets == "all" || (who_forgets == "one" && store->rank() == store->size() - 1)) return store.reset();
  const auto closed = store->close();
  if (who_forgets.empty()) {
    expect(closed.has_value(), closed ? "" : closed.error().message);
  } else {
    expect(!closed && closed.error().code == tarn::ErrorCode::rank_lost, closed ? "close() worked" : closed.error().message);
  }
  store.reset();
}

}  // namespace

int main(int argc, char** argv) {
  const char* threads = std::getenv("TARN_TEST_THREADS");
  const std::string wanted = threads != nullptr ? threads : "";
  int level = 0;
  MPI_Init_thread(&argc, &argv,
                  wanted == "funneled"     ? MPI_THREAD_FUNNELED
                  : wanted == "serialized" ? MPI_THREAD_SERIALIZED
                                           : MPI_THREAD_MULTIPLE,
                  &level);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  tarn::StoreOptions options;
  const std::string hold = argc > 1 ? argv[1] : "";
  std::string who_forgets;
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--dir") == 0 && i + 1 < argc) options.directories.emplace_back(argv[++i]);
    if (std::strcmp(argv[i], "--forget") == 0 && i + 1 < argc) who_forgets = argv[++i];
    if (std::strcmp(argv[i], "--node-id-from-rank") == 0) options.node_id_from_rank = true;
    if (std::strcmp(argv[i], "--bad") == 0) options.request_timeout = std::chrono::seconds(rank % 2 == 0 ? 50 : 40);
  }
  auto opened = tarn::open(MPI_COMM_WORLD, options);
  if (!opened) {
    std::cerr << "mpmd_application: rank " + std::to_string(rank) + ": " + opened.error().message + "\n";
    MPI_Finalize();
    return 3;
  }
  std::optional<tarn::Store> store(std::move(*opened));
  use(*store, hold);
  leave(store, who_forgets);
  MPI_Finalize();
  return 0;
}
