// neighbour_files_test.cpp - volumes of a neighbour: opened only where they are its volumes, and let go when it has removed them.
#include <chrono>
#include <string>

#include "mpi/mpi_test.hpp"
#include "mpi/neighbour_files.hpp"
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
