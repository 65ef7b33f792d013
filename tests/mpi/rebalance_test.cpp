// Stores whose disks come and go.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

constexpr int kObjects = 120;

ObjectName name_of(int i) {
  return {"data", "dir/" + std::to_string(i)};
}
std::vector<std::byte> body_of(int i, int version = 0) {
  return test_bytes(i % 40 == 7 ? 2'500'000 : static_cast<std::size_t>(i * 37), static_cast<std::uint64_t>(1000 * version + i));
}

void fill(Store& store, int version = 0) {
  if (world_rank() == 0 && store.buckets().value().empty()) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  for (int i = world_rank(); i < kObjects; i += world_size()) REQUIRE(failure(store.put(name_of(i), body_of(i, version))) == "");
  meet(store);
}

void check_all(Store& store, int version = 0) {
  for (int i = 0; i < kObjects; ++i) {
    INFO("object " << i << " on rank " << world_rank());
    const auto got = store.get(name_of(i));
    REQUIRE(failure(got) == "");
    REQUIRE((*got == body_of(i, version)));
  }
  CHECK(code_of(store.get({"data", "never"})) == "not_found");
  CHECK(store.list("data").value().objects.size() == kObjects);
  meet(store);
}

/// This rank's own disk, and `extra` more that are its own.
StoreOptions with_more_disks(const SharedDirectory& directory, int extra) {
  auto options = test_options(directory);
  for (int i = 0; i < extra; ++i) options.directories.push_back(directory.path() + "/more-" + std::to_string(world_rank()) + "-" + std::to_string(i));
  return options;
}

}  // namespace

TEST_CASE("rebalance: disks are added: everything is found at once, and what has to move, and nothing else, moves", "[rebalance]") {
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    CHECK(store.settled());
    const auto nothing = store.rebalance();
    REQUIRE(failure(nothing) == "");
    CHECK(nothing->objects == kObjects);
    CHECK(nothing->copied_objects == 0);
    REQUIRE(failure(store.close()) == "");
  }
  Store store = open_store(with_more_disks(directory, 1));
  CHECK_FALSE(store.settled());
  check_all(store);
  // Changes before the move count: an old version that lies elsewhere does not come back, nor does what was removed.
  if (world_rank() == world_size() - 1) {
    for (int i = 0; i < kObjects; i += 3) REQUIRE(failure(store.put(name_of(i), body_of(i))) == "");
    for (int i = 1; i < kObjects; i += 3) {
      REQUIRE(failure(store.remove(name_of(i))) == "");
      CHECK(code_of(store.get(name_of(i))) == "not_found");
      REQUIRE(failure(store.put(name_of(i), body_of(i))) == "");
    }
    REQUIRE(failure(store.put({"data", "gone"}, body_of(1))) == "");
    REQUIRE(failure(store.remove({"data", "gone"})) == "");
  }
  meet(store);
  check_all(store);
  std::atomic<int> told{0};
  const auto report = store.rebalance({}, [&](const RebalanceReport&) { ++told; });
  REQUIRE(failure(report) == "");
  CHECK(told > 0);
  CHECK(report->failed_objects == 0);
  CHECK(report->copied_objects > 0);
  CHECK(report->copied_objects < kObjects / 2);  // half of those that were not written anew, and by now are in their place
  CHECK(report->removed_copies >= report->copied_objects);
  CHECK(store.settled());
  check_all(store);
  CHECK(store.stats().value().objects == kObjects);
  meet(store);
  REQUIRE(failure(store.close()) == "");
  Store again = open_store(with_more_disks(directory, 1));
  CHECK(again.settled());
  check_all(again);
  CHECK(again.rebalance().value().copied_objects == 0);
  REQUIRE(failure(again.close()) == "");
}

TEST_CASE("rebalance: the same disks on other ranks, or on fewer: nothing moves", "[rebalance]") {
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    REQUIRE(failure(store.close()) == "");
  }
  for (int shift = 0; shift <= 2; ++shift) {
    auto options = test_options(directory);
    options.directories.clear();
    if (shift < 2) {
      options.directories = {directory.path() + "/disk-" + std::to_string((world_rank() + shift) % world_size())};
    } else if (world_rank() % 2 == 0) {  // every second rank takes its neighbour's as well
      for (int r = world_rank(); r < std::min(world_rank() + 2, world_size()); ++r)
        options.directories.push_back(directory.path() + "/disk-" + std::to_string(r));
    }
    Store store = open_store(options);
    CHECK(store.settled());
    check_all(store);
    CHECK(store.rebalance().value().copied_objects == 0);
    REQUIRE(failure(store.close()) == "");
  }
}

TEST_CASE("rebalance: objects are read, replaced and removed while it runs", "[rebalance]") {
  int provided = 0;
  MPI_Query_thread(&provided);
  if (provided != MPI_THREAD_MULTIPLE) return;  // a second thread could not call the store
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    REQUIRE(failure(store.close()) == "");
  }
  Store store = open_store(with_more_disks(directory, 2));
  std::atomic<bool> moved{false};
  std::string trouble;
  std::thread user([&] {
    for (int round = 0; !moved.load() || round == 0; ++round) {
      for (int i = world_rank(); i < kObjects && trouble.empty(); i += world_size()) {
        const auto name = name_of(i);
        if (i % 3 == 0) trouble = failure(store.put(name, body_of(i, 1)));
        if (i % 3 == 1 && round == 0) trouble = failure(store.remove(name));
        const auto got = store.get(name);
        if (i % 3 == 1 && code_of(got) != "not_found") trouble += "object " + std::to_string(i) + " was removed but is there: " + code_of(got);
        if (i % 3 != 1 && (!got || *got != body_of(i, i % 3 == 0 ? 1 : 0))) trouble += "object " + std::to_string(i) + ": " + failure(got);
      }
    }
  });
  const auto report = store.rebalance({std::uint64_t{4} << 20});
  moved.store(true);
  user.join();
  CHECK(trouble == "");
  REQUIRE(failure(report) == "");
  meet(store);
  for (int i = 0; i < kObjects; ++i) {
    INFO("object " << i);
    const auto got = store.get(name_of(i));
    if (i % 3 == 1) {
      CHECK(code_of(got) == "not_found");
    } else {
      REQUIRE(failure(got) == "");
      CHECK((*got == body_of(i, i % 3 == 0 ? 1 : 0)));
    }
  }
  meet(store);
  CHECK(store.stats().value().objects == static_cast<std::uint64_t>(kObjects - kObjects / 3));
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("rebalance: an object without a good copy is named on all ranks, the others are moved, and the next one goes on", "[rebalance]") {
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    REQUIRE(failure(store.close()) == "");
  }
  if (world_rank() == 0) damage_volumes(directory.path() + "/disk-0");
  meet();
  Store store = open_store(with_more_disks(directory, 1));
  const auto report = store.rebalance();
  REQUIRE_FALSE(report);
  CHECK(report.error().code == ErrorCode::corrupt);
  CHECK(report.error().rank == 0);
  CHECK_FALSE(store.settled());
  int good = 0;
  for (int i = 0; i < kObjects; ++i) {
    const auto got = store.get(name_of(i));
    if (!got) CHECK(code_of(got) == "corrupt");
    if (got) CHECK((*got == body_of(i)));
    good += got ? 1 : 0;
  }
  CHECK(good < kObjects);
  meet(store);
  if (world_rank() == 0)
    for (int i = 0; i < kObjects; ++i)
      if (!store.get(name_of(i))) REQUIRE(failure(store.put(name_of(i), body_of(i))) == "");
  meet(store);
  REQUIRE(failure(store.rebalance()) == "");
  CHECK(store.settled());
  check_all(store);
  REQUIRE(failure(store.close()) == "");
}
