// Objects that are put on a certain rank: placement local, rank=N, of one put, and by tag.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

using Kind = PlacementPolicy::Kind;

constexpr PlacementPolicy kLocal{Kind::local, -1};

void make_bucket(Store& store, const std::string& bucket, const BucketOptions& options) {
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket(bucket, options)) == "");
  meet(store);
}

std::string key_of(int rank, int i) {
  return std::to_string(rank) + "/" + std::to_string(i);
}

}  // namespace

TEST_CASE("placement local: objects lie where they were written, and every rank finds, replaces and removes them", "[placed]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  make_bucket(store, "near", {Durability::none, 1, kLocal, {}});
  for (int i = 0; i < 10; ++i) {
    const ObjectName name{"near", key_of(world_rank(), i)};
    REQUIRE(failure(store.put(name, test_bytes(static_cast<std::size_t>(1000 * i), 1))) == "");
    CHECK(store.owner(name).value() == world_rank());
  }
  meet(store);
  CHECK(store.stats().value().per_rank[static_cast<std::size_t>(world_rank())].objects == 10);
  for (int rank = 0; rank < world_size(); ++rank)
    for (int i = 0; i < 10; ++i) CHECK((store.get({"near", key_of(rank, i)}).value() == test_bytes(static_cast<std::size_t>(1000 * i), 1)));
  meet(store);
  // The next rank replaces them: they are its own now, once.
  const int other = (world_rank() + 1) % world_size();
  for (int i = 0; i < 10; ++i) {
    const ObjectName name{"near", key_of(other, i)};
    auto writer = store.writer(name);
    REQUIRE(failure(writer) == "");
    REQUIRE(failure((*writer)->write(test_bytes(500, static_cast<std::uint64_t>(i)))) == "");
    REQUIRE(failure((*writer)->commit()) == "");
    CHECK(store.owner(name).value() == world_rank());
  }
  meet(store);
  CHECK(store.stats().value().objects == static_cast<std::uint64_t>(10 * world_size()));
  CHECK(store.list("near").value().objects.size() == static_cast<std::size_t>(10 * world_size()));
  for (int i = 0; i < 10; ++i) CHECK((store.get({"near", key_of(world_rank(), i)}).value() == test_bytes(500, static_cast<std::uint64_t>(i))));
  meet(store);
  for (int i = 0; i < 10; ++i) REQUIRE(failure(store.remove({"near", key_of(world_rank(), i)})) == "");
  CHECK(code_of(store.get({"near", key_of(world_rank(), 0)})) == "not_found");
  CHECK(code_of(store.remove({"near", key_of(world_rank(), 0)})) == "not_found");
  meet(store);
  CHECK(store.stats().value().objects == 0);
  meet(store);
  if (world_rank() == 0) CHECK(failure(store.remove_bucket("near")) == "");
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("placement rank=N: all on that rank, also after the disks have other ranks; a rank that is not there is refused", "[placed]") {
  SharedDirectory directory;
  const int chosen = world_size() / 2;
  {
    Store store = open_store(test_options(directory));
    make_bucket(store, "one", {Durability::none, 1, {Kind::rank, chosen}, {}});
    for (int i = 0; i < 10; ++i) REQUIRE(failure(store.put({"one", key_of(world_rank(), i)}, test_bytes(777, 3))) == "");
    meet(store);
    for (int i = 0; i < 10; ++i) CHECK(store.owner({"one", key_of(world_rank(), i)}).value() == chosen);
    CHECK(store.stats().value().per_rank[static_cast<std::size_t>(chosen)].objects == static_cast<std::uint64_t>(10 * world_size()));
    const auto refused = store.create_bucket("two", {Durability::none, 1, {Kind::rank, world_size()}, {}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::invalid);
    CHECK_THAT(refused.error().message, Catch::Contains("rank=" + std::to_string(world_size())) && Catch::Contains("does not exist"));
    CHECK(code_of(store.create_bucket("two", {Durability::none, 2, kLocal, {}})) == "unsupported");
    const auto disks = store.placement();
    REQUIRE(disks.size() == static_cast<std::size_t>(world_size()));
    for (const auto& disk : disks) {
      CHECK(disk.directory == fs::canonical(directory.path() + "/disk-" + std::to_string(disk.rank)).string());
      CHECK(disk.weight > 0);
    }
    meet(store);
    REQUIRE(failure(store.close()) == "");
  }
  auto options = test_options(directory);
  options.directories = {directory.path() + "/disk-" + std::to_string((world_rank() + 1) % world_size())};
  Store store = open_store(options);
  CHECK(store.settled());
  for (int rank = 0; rank < world_size(); ++rank)
    for (int i = 0; i < 10; ++i) CHECK((store.get({"one", key_of(rank, i)}).value() == test_bytes(777, 3)));
  const auto report = store.rebalance();
  REQUIRE(failure(report) == "");
  CHECK(report->copied_objects == 0);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("placement of one put: overrides the bucket's, and a later put brings the object home", "[placed]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  make_bucket(store, "data", {});
  PutOptions here;
  here.placement = kLocal;
  for (int i = 0; i < 12; ++i) {
    const ObjectName name{"data", key_of(world_rank(), i)};
    const RankId home = store.owner(name).value();
    REQUIRE(failure(store.put(name, test_bytes(100, 1), here)) == "");
    CHECK(store.owner(name).value() == world_rank());
    if (i % 3 == 0) {
      REQUIRE(failure(store.put(name, test_bytes(100, 2))) == "");
      CHECK(store.owner(name).value() == home);
    }
    if (i % 3 == 1) {
      REQUIRE(failure(store.put(name, test_bytes(100, 2), here)) == "");
      CHECK(store.owner(name).value() == world_rank());
    }
  }
  meet(store);
  CHECK(store.stats().value().objects == static_cast<std::uint64_t>(12 * world_size()));
  for (int rank = 0; rank < world_size(); ++rank)
    for (int i = 0; i < 12; ++i) CHECK((store.get({"data", key_of(rank, i)}).value() == test_bytes(100, i % 3 == 2 ? 1 : 2)));
  CHECK(code_of(store.get({"data", "never"})) == "not_found");
  meet(store);
  REQUIRE(failure(store.close()) == "");
  // Disks are added: pointers follow their homes, what was placed stays.
  auto options = test_options(directory);
  options.directories.push_back(directory.path() + "/more-" + std::to_string(world_rank()));
  Store more = open_store(options);
  for (int rank = 0; rank < world_size(); ++rank)
    for (int i = 0; i < 12; ++i) CHECK((more.get({"data", key_of(rank, i)}).value() == test_bytes(100, i % 3 == 2 ? 1 : 2)));
  meet(more);
  REQUIRE(failure(more.rebalance()) == "");
  for (int rank = 0; rank < world_size(); ++rank)
    for (int i = 0; i < 12; ++i) {
      const ObjectName name{"data", key_of(rank, i)};
      CHECK((more.get(name).value() == test_bytes(100, i % 3 == 2 ? 1 : 2)));
      if (i % 3 != 0) CHECK(more.owner(name).value() == rank);
    }
  meet(more);
  CHECK(more.stats().value().objects == static_cast<std::uint64_t>(12 * world_size()));
  meet(more);
  REQUIRE(failure(more.close()) == "");
}

TEST_CASE("placement local: a rank without disks is told to write elsewhere", "[placed]") {
  if (world_size() == 1) return;
  SharedDirectory directory;
  auto options = test_options(directory);
  const bool client = world_rank() == world_size() - 1;
  if (client) options.directories.clear();
  Store store = open_store(options);
  make_bucket(store, "near", {Durability::none, 1, kLocal, {}});
  const auto stored = store.put({"near", "k" + std::to_string(world_rank())}, test_bytes(10, 1));
  if (client) {
    REQUIRE_FALSE(stored);
    CHECK(stored.error().code == ErrorCode::invalid);
    CHECK_THAT(stored.error().message, Catch::Contains("has no disk"));
    PutOptions first;
    first.placement = PlacementPolicy{Kind::rank, 0};
    CHECK(failure(store.put({"near", "from a client"}, test_bytes(10, 1), first)) == "");
  } else {
    CHECK(failure(stored) == "");
  }
  meet(store);
  CHECK((store.get({"near", "from a client"}).value() == test_bytes(10, 1)));
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("placement: writers of one name on all ranks at once leave one version, which all read", "[placed]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  make_bucket(store, "near", {Durability::none, 1, kLocal, {}});
  for (int i = 0; i < 40; ++i) REQUIRE(failure(store.put({"near", "one"}, test_bytes(60, static_cast<std::uint64_t>(100 * i + world_rank())))) == "");
  meet(store);
  CHECK(store.stats().value().objects == 1);
  const auto mine = store.head({"near", "one"}).value().checksum;
  Checksum first = mine;
  meet(store);
  MPI_Bcast(first.data(), static_cast<int>(first.size()), MPI_UINT8_T, 0, MPI_COMM_WORLD);
  CHECK((mine == first));
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("placement by tag: keys that share one have one owner", "[placed]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  for (int run = 0; run < 10; ++run) {
    const std::string tag = "{run-" + std::to_string(run) + "}";
    const RankId owner = store.owner({"data", tag}).value();
    for (int i = 0; i < 10; ++i) CHECK(store.owner({"data", "step-" + std::to_string(i) + "/" + tag + ".bin"}).value() == owner);
  }
  REQUIRE(failure(store.close()) == "");
}
