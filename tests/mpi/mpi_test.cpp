// mpi_test.cpp - main of the tests under mpirun: MPI around Catch2, one voice, and an agreement after each test.
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // of its listeners
#include "mpi/mpi_test.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <sstream>
#include <string_view>
#include <thread>

#include "support/catch_runner.hpp"

namespace tarn::tests {

namespace {

MPI_Comm test_comm = MPI_COMM_NULL;

/// Waits for an MPI request without burning the cores that the other ranks need.
bool wait_for(MPI_Request request, std::chrono::seconds limit, const std::function<void()>& meanwhile = {}) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  int done = 0;
  while (done == 0 && std::chrono::steady_clock::now() < deadline) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (meanwhile) meanwhile();
    if (done == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return done != 0;
}

bool env_is(const char* name, const std::string& value) {
  const char* text = std::getenv(name);
  return text != nullptr && text == value;
}

/// After each test case all ranks meet. Who comes and finds that the others stay away (they wait in a collective
/// for a rank whose test failed) ends the job.
class Agreement : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    int failed = stats.totals.assertions.allOk() ? 0 : 1;
    int failed_ranks = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallreduce(&failed, &failed_ranks, 1, MPI_INT, MPI_SUM, test_comm, &request);
    if (wait_for(request, std::chrono::seconds(failed != 0 ? 10 : 120))) return;
    std::cerr << captured() << "rank " << world_rank() << ": the others did not end " << stats.testInfo.name << "\n" << std::flush;
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  static std::string captured() {
    auto* buffer = dynamic_cast<std::stringbuf*>(std::cout.rdbuf());
    return buffer != nullptr ? buffer->str() : std::string();
  }
};
CATCH_REGISTER_LISTENER(Agreement)

}  // namespace

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

void meet() {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(test_comm, &request);
  REQUIRE(wait_for(request, std::chrono::seconds(120)));
}

void meet(Store& store) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(test_comm, &request);
  REQUIRE(wait_for(request, std::chrono::seconds(120), [&] { store.progress(); }));
}

SharedDirectory::SharedDirectory() {
  std::string name(256, '\0');
  if (world_rank() == 0) {
    const char* base = std::getenv("TARN_TEST_TMPDIR");
    std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/tarn-mpi-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    pattern.copy(name.data(), name.size() - 1);
  }
  MPI_Bcast(name.data(), static_cast<int>(name.size()), MPI_CHAR, 0, test_comm);
  path_ = name.c_str();
}

SharedDirectory::~SharedDirectory() {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(test_comm, &request);
  wait_for(request, std::chrono::seconds(30));
  std::error_code ignored;
  if (world_rank() == 0) std::filesystem::remove_all(path_, ignored);
}

StoreOptions test_options(const SharedDirectory& directory) {
  StoreOptions options;
  options.directories = {directory.path() + "/disk-{rank}"};
  options.node_id_from_rank = env_is("TARN_TEST_NODES", "ranks");
  options.request_timeout = std::chrono::seconds(30);
  return options;
}

Store open_store(const StoreOptions& options) {
  auto store = open(MPI_COMM_WORLD, options);
  REQUIRE(failure(store) == "");
  return std::move(*store);
}

std::vector<std::byte> test_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random();
    for (std::size_t k = 0; k < 8 && i + k < size; ++k) bytes[i + k] = static_cast<std::byte>(word >> (8 * k));
  }
  return bytes;
}

void damage_volumes(const std::string& disk) {
  for (const auto& file : std::filesystem::directory_iterator(disk + "/volumes")) {
    std::fstream volume(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(volume)), {});
    for (std::size_t at = 0; at + 512 <= bytes.size(); at += 512) {
      const std::string_view block = std::string_view(bytes).substr(at, 512);
      if (std::count_if(block.begin(), block.end(), [](char c) { return static_cast<unsigned char>(c) >= 128; }) < 150) continue;
      volume.clear();
      volume.seekp(static_cast<std::streamoff>(at + 100));
      volume.put(static_cast<char>(block[100] ^ 1));
    }
  }
}

std::string key_on(const Store& store, const std::string& bucket, const std::string& stem, RankId rank) {
  for (int i = 0; i < 100'000; ++i) {
    std::string key = stem + "-" + std::to_string(i);
    if (store.owner({bucket, key}).value() == rank) return key;
  }
  FAIL("no key of the form " << stem << "-N lives on rank " << rank);
  return {};
}

}  // namespace tarn::tests

int main(int argc, char* argv[]) {
  const bool funneled = tarn::tests::env_is("TARN_TEST_THREADS", "funneled");
  const bool serialized = tarn::tests::env_is("TARN_TEST_THREADS", "serialized");
  int level = 0;
  MPI_Init_thread(&argc, &argv, funneled ? MPI_THREAD_FUNNELED : serialized ? MPI_THREAD_SERIALIZED : MPI_THREAD_MULTIPLE, &level);
  MPI_Comm_dup(MPI_COMM_WORLD, &tarn::tests::test_comm);
  const int rank = tarn::tests::world_rank();

  // Rank 0 speaks; the others only when something failed there.
  std::stringbuf held;
  std::streambuf* const terminal = std::cout.rdbuf();
  if (rank != 0) std::cout.rdbuf(&held);
  const int failures = tarn::tests::run_catch(argc, argv);
  std::cout.rdbuf(terminal);
  if (rank != 0 && failures != 0) std::cerr << "--- rank " << rank << "\n" << held.str() << std::flush;

  int worst = 0;
  MPI_Allreduce(&failures, &worst, 1, MPI_INT, MPI_MAX, tarn::tests::test_comm);
  MPI_Comm_free(&tarn::tests::test_comm);
  MPI_Finalize();
  return worst == 0 ? 0 : 1;
}
