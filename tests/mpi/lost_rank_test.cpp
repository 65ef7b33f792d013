// lost_rank_test.cpp - a rank that does not answer any more: the others get an error that names it, in time, and nothing hangs.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "base/limits.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/stopped_rank.hpp"

using namespace tarn;
using namespace tarn::tests;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kLimit{1500};

StoreOptions impatient(const SharedDirectory& directory, std::chrono::milliseconds limit = kLimit) {
  auto options = test_options(directory);
  options.node_id_from_rank = true;  // a stopped neighbour's files could still be read
  options.request_timeout = limit;
  return options;
}

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

std::size_t temporary_files(const std::string& directory) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    if (entry.path().extension() == ".tmp") ++count;
  return count;
}

}  // namespace

TEST_CASE("Lost rank: requests to it end in time with an error that names it, and work again when it goes on", "[lost]") {
  if (world_size() < 3) return;
  SharedDirectory directory;
  const auto pids = processes_of_ranks();
  Store store = open_store(impatient(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const std::string there = key_on(store, "data", "there", 1);
  const std::string elsewhere = key_on(store, "data", "elsewhere", 2);
  if (world_rank() == 0) {
    REQUIRE(failure(store.put({"data", there}, test_bytes(3 << 20, 1))) == "");
    REQUIRE(failure(store.put({"data", elsewhere}, test_bytes(1000, 2))) == "");
    {
      const StoppedProcess stopped(pids[1]);
      const auto check = [&](const char* what, auto call) {
        INFO(what);
        const auto start = steady_clock::now();
        const auto outcome = call();
        REQUIRE_FALSE(outcome);
        INFO(outcome.error().message);
        CHECK((outcome.error().code == ErrorCode::timeout || outcome.error().code == ErrorCode::rank_lost));
        CHECK(outcome.error().rank == 1);
        CHECK_THAT(outcome.error().message, Catch::Contains("rank 1"));
        CHECK(seconds_since(start) < 10);
      };
      check("get", [&] { return store.get({"data", there}); });
      check("head", [&] { return store.head({"data", there}); });
      check("put", [&] { return store.put({"data", there}, test_bytes(100, 1)); });
      check("list", [&] { return store.list("data"); });
      check("stats", [&] { return store.stats(); });
      check("remove", [&] { return store.remove({"data", there}); });
      check("create_bucket", [&] { return store.create_bucket("more"); });
      CHECK((store.get({"data", elsewhere}).value() == test_bytes(1000, 2)));  // what others hold is there
    }
    // What was asked for in between may be done late; then the store works as before.
    const auto limit = steady_clock::now() + std::chrono::seconds(30);
    while (!store.stats() && steady_clock::now() < limit) continue;
    CHECK((store.get({"data", elsewhere}).value() == test_bytes(1000, 2)));
    CHECK(failure(store.put({"data", there}, test_bytes(10, 3))) == "");
    CHECK((store.get({"data", there}).value() == test_bytes(10, 3)));
    CHECK(failure(store.create_bucket("more")) == "");  // its creation was undone on all ranks
  }
  meet(store);
  CHECK(store.buckets().value().size() == 2);
  CHECK(failure(store.put({"more", "k" + std::to_string(world_rank())}, test_bytes(10, 3))) == "");
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Lost rank: what it was writing to another rank is dropped, and none of it is visible", "[lost]") {
  if (world_size() < 3) return;
  SharedDirectory directory;
  const auto pids = processes_of_ranks();
  // More than a busy machine may make rank 1 wait, once it goes on: its writer must hear of its end, not give up itself.
  Store store = open_store(impatient(directory, std::chrono::seconds(4)));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const std::string key = key_on(store, "data", "half", 2);
  Result<std::unique_ptr<ObjectWriter>> writer;
  if (world_rank() == 1) {
    writer = store.writer({"data", key});
    REQUIRE(failure(writer) == "");
    REQUIRE(failure((*writer)->write(test_bytes(9 * limits::MiB, 1))) == "");
  }
  meet(store);
  if (world_rank() == 0) {
    const std::string owner = directory.path() + "/disk-2";
    auto limit = steady_clock::now() + std::chrono::seconds(30);
    while (temporary_files(owner) == 0 && steady_clock::now() < limit) store.progress();
    REQUIRE(temporary_files(owner) == 1);
    const StoppedProcess stopped(pids[1]);
    limit = steady_clock::now() + std::chrono::seconds(30);
    while (temporary_files(owner) > 0 && steady_clock::now() < limit) (void)store.head({"data", key_on(store, "data", "x", 2)});
    CHECK(temporary_files(owner) == 0);
    CHECK(code_of(store.head({"data", key})) == "not_found");
  }
  meet(store);
  if (world_rank() == 1) {
    const auto info = (*writer)->commit();
    REQUIRE_FALSE(info);
    CHECK(info.error().code == ErrorCode::rank_lost);
    CHECK_THAT(info.error().message, Catch::Contains("silent"));
    writer->reset();
    CHECK(code_of(store.head({"data", key})) == "not_found");
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Lost rank: collective calls of the others end with rank_lost, in time, and name it", "[lost]") {
  int level = 0;
  MPI_Query_thread(&level);
  if (world_size() < 3 || level != MPI_THREAD_MULTIPLE) return;  // without a service thread a late rank looks the same
  SharedDirectory directory;
  const auto pids = processes_of_ranks();
  {
    Store store = open_store(impatient(directory));
    if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
    meet(store);
    const auto flag = [&](int rank, const char* what = "ended") { return directory.path() + "/" + what + "-" + std::to_string(rank); };
    const auto wait_for_flag = [&](int rank, const char* what = "ended") {
      const auto limit = steady_clock::now() + std::chrono::seconds(60);
      while (!std::filesystem::exists(flag(rank, what)) && steady_clock::now() < limit) std::this_thread::yield();
      return std::filesystem::exists(flag(rank, what));
    };
    // Who has left a barrier may have to help others out of it: rank 1 is stopped when all are out.
    std::ofstream(flag(world_rank(), "met")) << "x";
    for (int rank = 0; rank < world_size(); ++rank) CHECK(wait_for_flag(rank, "met"));
    if (world_rank() != 1) {
      std::unique_ptr<StoppedProcess> stopped;
      if (world_rank() == 0) stopped = std::make_unique<StoppedProcess>(pids[1]);
      const auto start = steady_clock::now();
      const auto outcome = store.flush();
      const auto again = store.close();
      REQUIRE_FALSE(outcome);
      INFO(outcome.error().message);
      CHECK(outcome.error().code == ErrorCode::rank_lost);
      CHECK(outcome.error().rank == 1);
      CHECK_THAT(outcome.error().message, Catch::Contains("rank 1 did not answer"));
      CHECK(code_of(again) == "rank_lost");
      CHECK(seconds_since(start) < 20);
      std::ofstream(flag(world_rank())) << "x";
      if (world_rank() == 0)
        for (int rank = 2; rank < world_size(); ++rank) CHECK(wait_for_flag(rank));
    } else {  // goes on when the others have given it up: neither does it wait for ever
      CHECK(wait_for_flag(0));
      const auto start = steady_clock::now();
      (void)store.flush();  // the others may have begun this one
      CHECK(code_of(store.close()) == "rank_lost");
      CHECK(seconds_since(start) < 20);
    }
    meet();
  }
  Store again = open_store(test_options(directory));  // everybody's disks are free
  CHECK(again.buckets().value().size() == 1);
  REQUIRE(failure(again.close()) == "");
}

TEST_CASE("Lost rank: one that is only late in a collective call is waited for", "[lost]") {
  int level = 0;
  MPI_Query_thread(&level);
  if (world_size() < 3 || level != MPI_THREAD_MULTIPLE) return;
  SharedDirectory directory;
  Store store = open_store(impatient(directory));
  if (world_rank() == 1) std::this_thread::sleep_for(2 * kLimit);  // computes: what is tested is that this does no harm
  CHECK(failure(store.flush()) == "");
  REQUIRE(failure(store.close()) == "");
}
