// The service of one rank for the others: while it computes, when it is silent, when its bytes are damaged.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "base/limits.hpp"
#include "mpi/membership.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/stopped_rank.hpp"
#include "mpi/wire.hpp"

using namespace tarn;
using namespace tarn::tests;
using std::chrono::steady_clock;

namespace {

bool has_service_thread() {
  int level = 0;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = steady_clock::now();
  work();
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("Service: a message of another version of the protocol is refused, and both versions are named", "[service]") {
  base::Encoder encoder = mpi::begin_message();
  std::vector<std::byte> message(encoder.bytes().begin(), encoder.bytes().end());
  mpi::write_header(message, {mpi::Op::ping, 0, 7});
  CHECK(mpi::read_header(message).value().id == 7);
  CHECK(message[4] == std::byte{2});  // as docs/WIRE.md draws it
  message[4] = std::byte{1};
  const auto header = mpi::read_header(message);
  REQUIRE_FALSE(header);
  CHECK(header.error().code == ErrorCode::corrupt);
  CHECK(header.error().message == "another rank speaks version 1 of the peer protocol, this one version 2");
}

TEST_CASE("Service: a rank that computes answers the others meanwhile", "[service]") {
  if (world_size() == 1 || !has_service_thread()) return;
  const char* given = std::getenv("TARN_TEST_COMPUTE_SECONDS");  // tests/slow.sh: 10
  const double length = given != nullptr ? std::atof(given) : 2;
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const std::string key = key_on(store, "data", "k", 0), fresh = key_on(store, "data", "fresh" + std::to_string(world_rank()), 0);
  const auto expected = test_bytes(3 << 20, 1);
  if (world_rank() == 0) REQUIRE(failure(store.put({"data", key}, expected)) == "");
  meet(store);
  // Rank 0 makes no call at all, and gives its core to nobody; that it computes the others learn from the file system.
  const std::string begun = directory.path() + "/begun", ended = directory.path() + "/ended";
  if (world_rank() == 0) {
    std::ofstream(begun) << "x";
    std::uint64_t number = 1;
    for (const auto start = steady_clock::now(); std::chrono::duration<double>(steady_clock::now() - start).count() < length;)
      for (int i = 0; i < 1'000'000; ++i) number = number * 6364136223846793005ULL + 1442695040888963407ULL;
    CHECK(number != 0);
    std::ofstream(ended) << "x";
  } else {
    while (!std::filesystem::exists(begun)) std::this_thread::yield();
    std::vector<double> times;
    while (!std::filesystem::exists(ended)) {
      times.push_back(seconds_of([&] { CHECK((store.get({"data", key}).value() == expected)); }));
      times.push_back(seconds_of([&] { CHECK(store.head({"data", key}).value().size_bytes == expected.size()); }));
      times.push_back(seconds_of([&] { CHECK(failure(store.put({"data", fresh}, test_bytes(1000, 2))) == ""); }));
    }
    // Who had to wait for rank 0 would have waited to the end, once, for nearly all of the time.
    REQUIRE(!times.empty());
    std::sort(times.begin(), times.end());
    CAPTURE(length, times.size(), times.front(), times[times.size() / 2], times.back());
    CHECK(times.size() >= 9);
    CHECK(times[times.size() / 2] < length / 8);
    if (given != nullptr) CHECK(times.back() < length / 2);  // of so long a time no noise makes half
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Service: a rank that does not answer delays its own callers only", "[service]") {
  if (world_size() < 3 || !has_service_thread()) return;
  SharedDirectory directory;
  const auto pids = processes_of_ranks();
  auto options = test_options(directory);
  options.node_id_from_rank = true;  // a stopped neighbour's files could still be read
  Store store = open_store(options);
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const std::string stuck = key_on(store, "data", "stuck", 1), other = key_on(store, "data", "other", 2), large = key_on(store, "data", "large", 2);
  if (world_rank() == 0) {
    REQUIRE(failure(store.put({"data", stuck}, test_bytes(3 << 20, 1))) == "");
    REQUIRE(failure(store.put({"data", other}, test_bytes(1000, 2))) == "");
    REQUIRE(failure(store.put({"data", large}, test_bytes(3 << 20, 3))) == "");
    std::atomic<int> ended{0}, wrong{0};
    std::vector<std::thread> callers;
    {
      const StoppedProcess stopped(pids[1]);
      // More than one peer may make this rank hold, in both directions.
      for (int i = 0; i < 12; ++i)
        callers.emplace_back([&, i] {
          const ObjectName name{"data", stuck};
          const bool good = i % 2 == 0 ? store.get(name).has_value() : store.put(name, test_bytes(9 << 20, 4)).has_value();
          if (!good) ++wrong;
          ++ended;
        });
      std::vector<double> times;
      for (const auto end = steady_clock::now() + std::chrono::seconds(1); times.size() < 9 || steady_clock::now() < end;) {
        times.push_back(seconds_of([&] { CHECK((store.get({"data", other}).value() == test_bytes(1000, 2))); }));
        times.push_back(seconds_of([&] { CHECK((store.get({"data", large}).value() == test_bytes(3 << 20, 3))); }));
      }
      std::sort(times.begin(), times.end());
      CAPTURE(times.front(), times[times.size() / 2], times.back());
      CHECK(times[times.size() / 2] < 0.5);
      CHECK(times.back() < 10);
      CHECK(ended == 0);
    }
    for (auto& caller : callers) caller.join();  // it goes on: all are answered
    CHECK(wrong == 0);
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Service: the time limit of requests grows with the job", "[service]") {
  using std::chrono::seconds;
  CHECK(mpi::request_timeout({}, 1) == seconds(30));
  CHECK(mpi::request_timeout({}, 2) == seconds(60));
  CHECK(mpi::request_timeout({}, 1024) == seconds(330));
  StoreOptions options;
  options.request_timeout = seconds(7);
  CHECK(mpi::request_timeout(options, 1024) == seconds(7));
}

TEST_CASE("Service: many threads of every rank read and write at the same time", "[service]") {
  if (!has_service_thread()) return;
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  constexpr int kThreads = 4;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::size_t sizes[] = {100, 70'000, 3'000'000};
        const std::size_t size = sizes[i % 3];
        const ObjectName name{"data", std::to_string(world_rank()) + "-" + std::to_string(t) + "-" + std::to_string(i)};
        const auto bytes = test_bytes(size, static_cast<std::uint64_t>(i));
        if (!store.put(name, bytes)) ++wrong;
        const auto back = store.get(name);
        if (!back || *back != bytes) ++wrong;
        if (i % 5 == 0 && !store.list("data", {name.key})) ++wrong;
        if (i % 2 == 0 && !store.remove(name)) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  meet(store);
  std::size_t found = 0;
  ListOptions options;
  for (bool more = true; more;) {
    const auto page = store.list("data", options);
    REQUIRE(failure(page) == "");
    found += page->objects.size();
    more = page->truncated;
    options.start_after = page->next_start_after;
  }
  CHECK(found == static_cast<std::size_t>(world_size() * kThreads * 12));
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Service: readers and writers that are open for longer than the time limit stay usable", "[service]") {
  if (!has_service_thread()) return;
  SharedDirectory directory;
  auto options = test_options(directory);
  options.request_timeout = std::chrono::milliseconds(1500);
  Store store = open_store(options);
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const int other = (world_rank() + 1) % world_size();
  const std::string key = key_on(store, "data", "slow" + std::to_string(world_rank()), other);
  auto writer = store.writer({"data", key});
  REQUIRE(failure(writer) == "");
  REQUIRE(failure((*writer)->write(test_bytes(3 << 20, 1))) == "");
  std::this_thread::sleep_for(std::chrono::milliseconds(4000));  // what is tested is that this pause does no harm
  REQUIRE(failure((*writer)->write(test_bytes(3 << 20, 2))) == "");
  REQUIRE(failure((*writer)->commit()) == "");
  CHECK(store.head({"data", key}).value().size_bytes == 2 * (3 << 20));
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Service: damaged bytes are an error wherever they are read, never wrong bytes", "[service][corrupt]") {
  // In a message; in a session; with block hashes, by which the parts that are whole can still be read.
  const std::size_t size = GENERATE(5000, 300'000, 3'000'000);
  const bool read_before = GENERATE(false, true);  // bytes that were good once
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const std::string key = key_on(store, "data", "k" + std::to_string(world_rank()), world_rank());
  const auto body = test_bytes(size, 77 + static_cast<std::uint64_t>(world_rank()));
  REQUIRE(failure(store.put({"data", key}, body)) == "");
  REQUIRE(failure(store.flush()) == "");
  meet(store);
  for (int owner = 0; read_before && owner < world_size(); ++owner)
    CHECK(code_of(store.get({"data", key_on(store, "data", "k" + std::to_string(owner), owner)})) == "success");
  meet(store);
  // Flip one byte of the object in its volume.
  for (const auto& entry : std::filesystem::directory_iterator(directory.path() + "/disk-" + std::to_string(world_rank()) + "/volumes")) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(file)), {});
    const auto at = all.find(std::string(reinterpret_cast<const char*>(body.data()), 64));
    if (at == std::string::npos) continue;
    file.clear();
    file.seekp(static_cast<std::streamoff>(at + 2500));
    file.put(static_cast<char>(~all[at + 2500]));
  }
  meet(store);
  for (int owner = 0; owner < world_size(); ++owner) {
    const ObjectName name{"data", key_on(store, "data", "k" + std::to_string(owner), owner)};
    CHECK(code_of(store.get(name)) == "corrupt");
    CHECK(code_of(store.get(name, {0, 10})) == "corrupt");
    CHECK(code_of(store.get(name, {1, 3 << 20})) == "corrupt");  // more than what goes without a session
    for (const std::uint64_t length : {1000ULL, 3ULL << 20}) {
      if (size < 3'000'000) continue;
      const auto whole = test_bytes(size, 77 + static_cast<std::uint64_t>(owner));
      const auto part = store.get(name, {65'536, length});
      REQUIRE(code_of(part) == "success");
      CHECK(part->size() == std::min<std::uint64_t>(length, size - 65'536));
      CHECK(std::equal(part->begin(), part->end(), whole.begin() + 65'536));
    }
    CHECK(code_of(store.head(name)) == "success");
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}
