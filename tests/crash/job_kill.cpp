// job_kill.cpp - one rank of the job that job_kill.sh kills: checks what earlier lives were told is there, then puts,
// overwrites and removes objects all over the store until it is killed (or, with --check, ends).
//
//   job_kill DIRECTORY [--check]
//
// DIRECTORY holds disk-R, pid-R, and log-R: a line "KEY VERSION put|remove" for each acknowledgement that rank R got.
// After a kill at most the version after the last one in the log may be there as well.
#include <fcntl.h>
#include <mpi.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <tarn/open.hpp>

namespace {

constexpr int kKeys = 40;

struct Last {
  std::uint64_t version = 0;
  bool removed = true;
};

/// Deterministic content of a version: mostly small, some in a volume of their own.
std::vector<std::byte> content(const std::string& key, std::uint64_t version) {
  std::mt19937_64 random(std::hash<std::string>()(key) * 31 + version);
  const std::size_t size = version % 7 == 0 ? 1'500'000 + random() % 2'000'000 : random() % 20'000;
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::map<std::string, Last> read_log(const std::string& path) {
  std::map<std::string, Last> last;
  std::ifstream file(path);
  std::string key;
  std::string what;
  for (std::uint64_t version = 0; file >> key >> version >> what;) last[key] = {version, what == "remove"};
  return last;
}

bool is(const tarn::Result<std::vector<std::byte>>& found, const std::string& key, std::uint64_t version, bool removed) {
  if (removed || version == 0) return !found && found.error().code == tarn::ErrorCode::not_found;
  return found && *found == content(key, version);
}

/// What a version does is a function of the key and its number.
bool removes(const std::string& key, std::uint64_t version) {
  return version > 1 && (std::hash<std::string>()(key) + version) % 9 == 0;
}

int check(tarn::Store& store, const std::map<std::string, Last>& last) {
  int lost = 0;
  for (const auto& [key, state] : last) {
    const auto found = store.get({"data", key});
    if (is(found, key, state.version, state.removed)) continue;
    if (is(found, key, state.version + 1, removes(key, state.version + 1))) continue;  // done, but the log was not written
    std::cerr << "LOST " << key << " version " << state.version << (state.removed ? " (removed)" : "") << ": "
              << (found ? std::to_string(found->size()) + " other bytes" : found.error().message) << "\n";
    ++lost;
  }
  return lost;
}

[[noreturn]] void work(tarn::Store& store, std::map<std::string, Last> last, const std::string& log_path, int rank) {
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  std::mt19937_64 random(static_cast<std::uint64_t>(::getpid()));
  for (;;) {
    const std::string key = "rank" + std::to_string(rank) + "-" + std::to_string(random() % kKeys);
    auto& state = last[key];
    const std::uint64_t version = state.version + 1;
    const bool remove = removes(key, version);
    if (remove) {
      const auto removed = store.remove({"data", key});
      if (!removed && removed.error().code != tarn::ErrorCode::not_found) std::exit(3);
    } else if (!store.put({"data", key}, content(key, version))) {
      std::exit(3);
    }
    const std::string line = key + " " + std::to_string(version) + (remove ? " remove\n" : " put\n");
    if (::write(log, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::exit(4);
    state = {version, remove};
  }
}

}  // namespace

int main(int argc, char* argv[]) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  const std::string directory = argv[1];
  const bool only_check = argc > 2;
  tarn::StoreOptions options;
  options.directories = {directory + "/disk-{rank}"};
  options.node_id_from_rank = true;
  auto store = tarn::open(MPI_COMM_WORLD, options);
  if (!store) {
    std::cerr << store.error().message << "\n";
    MPI_Finalize();
    return store.error().code == tarn::ErrorCode::busy ? 75 : 1;
  }
  const auto rank = store->rank();
  if (rank == 0 && store->buckets().value().empty() && !store->create_bucket("data")) return 2;
  MPI_Barrier(MPI_COMM_WORLD);  // the service thread answers meanwhile
  const std::string log_path = directory + "/log-" + std::to_string(rank);
  auto last = read_log(log_path);
  int lost = check(*store, last);
  MPI_Allreduce(MPI_IN_PLACE, &lost, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  // A version that was done but not logged would shift the numbers: start from what is there.
  for (auto& [key, state] : last)
    if (is(store->get({"data", key}), key, state.version + 1, removes(key, state.version + 1)) &&
        !is(store->get({"data", key}), key, state.version, state.removed))
      state = {state.version + 1, removes(key, state.version + 1)};
  if (lost == 0 && !only_check) {
    std::ofstream(directory + "/pid-" + std::to_string(rank)) << ::getpid() << "\n";
    work(*store, std::move(last), log_path, rank);
  }
  const bool closed = store->close().has_value();
  MPI_Finalize();
  return lost == 0 && closed ? 0 : 1;
}
