// neighbour_files_test.cpp - volumes of a neighbour: opened only where they are its volumes, and let go when it has removed them.
#include <chrono>
#include <string>

#include "mpi/mpi_test.hpp"
#include "mpi/neighbour_files.hpp"
#include "mpi/stopped_rank.hpp"
#include "object/local_store.hpp"
#include "placement/store_map.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// Rank 0, and its neighbour rank 1 with this disk.
placement::StoreMap map_of(const object::LocalDisk& disk, const base::Uuid& id) {
  placement::StoreMap map;
  map.ranks.resize(2);
  for (int r = 0; r < 2; ++r) {
    map.ranks[static_cast<std::size_t>(r)].rank = r;
    map.ranks[static_cast<std::size_t>(r)].node = "node";
  }
  placement::Disk entry;
  entry.id = id;
  entry.rank = 1;
  entry.directory = disk.directory;
  map.disks.push_back(entry);
  return map;
}

}  // namespace

TEST_CASE("NeighbourFiles: a directory of the same path that is another disk is not read", "[neighbours]") {
  SharedDirectory directory;
  object::LocalStoreOptions options;
  options.directories = {directory.path() + "/disk-" + std::to_string(world_rank())};
  auto store = object::LocalStore::open(options);
  REQUIRE(failure(store) == "");
  REQUIRE(failure((*store)->create_bucket("bucket", 1)) == "");
  REQUIRE(failure((*store)->put(0, {"bucket", "key"}, test_bytes(5000, 1), {})) == "");
  const auto stored = (*store)->find(0, {"bucket", "key"}).value();
  const auto disk = (*store)->disks().front();

  mpi::NeighbourFiles same(map_of(disk, disk.id), 0);
  CHECK(same.reaches(1));
  CHECK(code_of(same.open(1, stored)) == "success");
  mpi::NeighbourFiles other(map_of(disk, base::Uuid::random()), 0);
  CHECK(!other.reaches(1));
  CHECK(code_of(other.open(1, stored)) == "not_found");
  REQUIRE(failure((*store)->close()) == "");
}

TEST_CASE("NeighbourFiles: a volume that its owner has removed does not stay open", "[neighbours]") {
  SharedDirectory directory;
  object::LocalStoreOptions options;
  options.directories = {directory.path() + "/disk-" + std::to_string(world_rank())};
  auto store = object::LocalStore::open(options);
  REQUIRE(failure(store) == "");
  REQUIRE(failure((*store)->create_bucket("bucket", 1)) == "");
  REQUIRE(failure((*store)->put(0, {"bucket", "key"}, test_bytes(2'000'000, 1), {})) == "");
  const auto stored = (*store)->find(0, {"bucket", "key"}).value();
  const auto disk = (*store)->disks().front();

  mpi::NeighbourFiles neighbours(map_of(disk, disk.id), 0);
  std::weak_ptr<const base::File> file = neighbours.volume(1, 0, stored.extents.front().volume).value();
  neighbours.on_tick(mpi::Clock::now());
  CHECK(!file.expired());
  REQUIRE(failure((*store)->remove(0, {"bucket", "key"})) == "");
  REQUIRE(failure((*store)->list("bucket", {})) == "");  // commits, and so removes the volume
  neighbours.on_tick(mpi::Clock::now() + std::chrono::minutes(1));
  CHECK(file.expired());
  REQUIRE(failure((*store)->close()) == "");
}

TEST_CASE("Neighbours: what any rank has put, replaced or removed is seen by the next read of any other", "[neighbours]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const int owner = world_size() > 1 ? 1 : 0;
  const ObjectName name{"data", key_on(store, "data", "k", owner)}, other{"data", key_on(store, "data", "other", owner)};
  for (int round = 0; round < 30; ++round) {
    const int writer = round % world_size();
    const auto seed = static_cast<std::uint64_t>(round);
    if (world_rank() == writer) CHECK(failure(store.put(name, test_bytes(3000, seed))) == "");
    meet(store);
    for (int i = 0; i < 3; ++i) CHECK((store.get(name).value() == test_bytes(3000, seed)));
    meet(store);
    if (round % 3 == 0 && world_rank() == writer) CHECK(failure(store.put(other, test_bytes(10, seed))) == "");
    if (round % 3 == 1 && world_rank() == writer) CHECK(failure(store.remove(other)) == "");
    meet(store);
    CHECK((code_of(store.get(other)) == (round % 3 == 0 ? "success" : "not_found")));
    meet(store);
  }
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Neighbours: versions of an object that is being replaced never go back", "[neighbours]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const ObjectName name{"data", key_on(store, "data", "k", 0)};
  constexpr std::uint64_t kVersions = 400;
  const auto version_of = [&]() -> std::uint64_t {  // its size says it
    const auto bytes = store.get(name);
    REQUIRE(failure(bytes) == "");
    return bytes->size();
  };
  if (world_rank() == 0) REQUIRE(failure(store.put(name, test_bytes(1, 1))) == "");
  meet(store);
  std::uint64_t last = 1;
  if (world_rank() == 0) {
    for (std::uint64_t version = 2; version <= kVersions; ++version) REQUIRE(failure(store.put(name, test_bytes(version, version))) == "");
  } else {
    const auto limit = mpi::Clock::now() + std::chrono::seconds(60);
    for (; last < kVersions && mpi::Clock::now() < limit;) {
      const std::uint64_t now = version_of();
      CHECK(now >= last);
      last = now;
    }
  }
  meet(store);
  CHECK(version_of() == kVersions);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Neighbours: an object that was read before is read without its rank, while nothing changes there", "[neighbours]") {
  SharedDirectory directory;
  const auto pids = processes_of_ranks();
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  if (world_rank() == 0 && world_size() > 1 && !test_options(directory).node_id_from_rank) {
    const ObjectName name{"data", key_on(store, "data", "k", 1)};
    REQUIRE(failure(store.put(name, test_bytes(3000, 1))) == "");
    CHECK((store.get(name).value() == test_bytes(3000, 1)));
    const StoppedProcess stopped(pids[1]);
    CHECK((store.get(name).value() == test_bytes(3000, 1)));
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}
