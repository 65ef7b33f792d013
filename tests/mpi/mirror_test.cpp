// Buckets that keep several copies of each object.
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "mpi/mpi_test.hpp"
#include "object/local_store.hpp"

using namespace tarn;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr int kObjects = 24;

unsigned copies() {
  return static_cast<unsigned>(std::min(2, world_size()));
}

ObjectName name_of(int i) {
  return {"safe", "k" + std::to_string(i)};
}

/// Small, around the size of a solo volume, and larger than a message.
std::vector<std::byte> body_of(int i, int version = 0) {
  const std::size_t sizes[] = {0, 1, 700, 70'000, 1 << 20, 3'000'000};
  return test_bytes(sizes[i % 6], static_cast<std::uint64_t>(1000 * version + i));
}

/// Makes the bucket and its objects, each rank a share of them.
void fill(Store& store, const BucketOptions& options = {Durability::none, copies(), {}, {}}) {
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("safe", options)) == "");
  meet(store);
  for (int i = world_rank(); i < kObjects; i += world_size()) {
    if (i % 2 == 0) {
      REQUIRE(failure(store.put(name_of(i), body_of(i), {"text/plain", {{"number", std::to_string(i)}}})) == "");
      continue;
    }
    auto writer = store.writer(name_of(i));
    REQUIRE(failure(writer) == "");
    const auto body = body_of(i);
    for (std::size_t at = 0; at < body.size(); at += 300'000)
      REQUIRE(failure((*writer)->write(std::span(body).subspan(at, std::min<std::size_t>(300'000, body.size() - at)))) == "");
    REQUIRE(failure((*writer)->commit()) == "");
  }
  meet(store);
}

/// Every rank reads every object, whole and in part.
void check_all(Store& store, int version = 0) {
  for (int i = 0; i < kObjects; ++i) {
    INFO("object " << i << " on rank " << world_rank());
    const auto body = body_of(i, version);
    const auto got = store.get(name_of(i));
    REQUIRE(failure(got) == "");
    REQUIRE((*got == body));
    const auto part = store.get(name_of(i), ByteRange{body.size() / 3, body.size() / 3});
    REQUIRE(failure(part) == "");
    REQUIRE(std::equal(part->begin(), part->end(), body.begin() + static_cast<std::ptrdiff_t>(body.size() / 3)));
    REQUIRE(part->size() == body.size() / 3);
    REQUIRE(store.head(name_of(i)).value().size_bytes == body.size());
  }
  const auto page = store.list("safe");
  REQUIRE(failure(page) == "");
  CHECK(page->objects.size() == kObjects);
  meet(store);
}

std::uint64_t count_copies(Store& store) {
  const auto stats = store.stats();
  REQUIRE(failure(stats) == "");
  meet(store);
  return stats->objects;
}

std::string disk_of(const SharedDirectory& directory, int rank) {
  return directory.path() + "/disk-" + std::to_string(rank);
}

}  // namespace

TEST_CASE("mirror: copies are on distinct ranks, and every rank reads, replaces, lists and removes the object", "[mirror]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  fill(store);
  CHECK(count_copies(store) == kObjects * copies());
  check_all(store);
  for (int i = world_rank(); i < kObjects; i += world_size()) REQUIRE(failure(store.put(name_of(i), body_of(i, 1))) == "");
  meet(store);
  check_all(store, 1);
  CHECK(count_copies(store) == kObjects * copies());
  CHECK(store.buckets().value().front().options.mirror == copies());
  for (int i = world_rank(); i < kObjects; i += world_size()) REQUIRE(failure(store.remove(name_of(i))) == "");
  meet(store);
  CHECK(store.list("safe").value().objects.empty());
  CHECK(code_of(store.get(name_of(0))) == "not_found");
  CHECK(code_of(store.remove(name_of(0))) == "not_found");
  meet(store);
  CHECK(count_copies(store) == 0);
  if (world_rank() == 0) CHECK(failure(store.remove_bucket("safe")) == "");
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("mirror: writers of one name at once end with the same version on all its disks", "[mirror]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("safe", {Durability::none, copies(), {}, {}})) == "");
  meet(store);
  for (int i = 0; i < 60; ++i) REQUIRE(failure(store.put({"safe", "one"}, test_bytes(50, static_cast<std::uint64_t>(100 * i + world_rank())))) == "");
  meet(store);
  REQUIRE(failure(store.close()) == "");
  object::LocalStoreOptions local;  // what each disk has
  local.directories = {disk_of(directory, world_rank())};
  auto opened = object::LocalStore::open(local);
  REQUIRE(failure(opened) == "");
  const auto found = (*opened)->find(0, {"safe", "one"});
  Checksum mine{}, together{};  // all bits of all copies; not their maximum, for which MPICH 4.0 takes MPI_UINT8_T as signed
  if (found) mine = found->info.checksum;
  MPI_Allreduce(mine.data(), together.data(), static_cast<int>(mine.size()), MPI_UINT8_T, MPI_BOR, MPI_COMM_WORLD);
  int have = found ? 1 : 0, all = 0;
  MPI_Allreduce(&have, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  CHECK(all == static_cast<int>(copies()));
  if (found) CHECK((mine == together));
}

TEST_CASE("mirror: a damaged copy is not seen, and is mended by the read that finds it", "[mirror]") {
  if (world_size() == 1) return;
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    REQUIRE(failure(store.close()) == "");
  }
  const int victim = world_size() - 1;
  if (world_rank() == victim) damage_volumes(disk_of(directory, victim));
  meet();
  {
    Store store = open_store(test_options(directory));
    check_all(store);
    REQUIRE(failure(store.close()) == "");
  }
  if (world_rank() != victim) return;
  object::LocalStoreOptions local;
  local.directories = {disk_of(directory, victim)};
  auto opened = object::LocalStore::open(local);
  REQUIRE(failure(opened) == "");
  int copies_here = 0;
  for (int i = 0; i < kObjects; ++i) {
    if (!(*opened)->find(0, name_of(i))) continue;
    ++copies_here;
    INFO("object " << i);
    const auto got = (*opened)->get(0, name_of(i));
    REQUIRE(failure(got) == "");
    CHECK((*got == body_of(i)));
  }
  CHECK(copies_here > 0);
}

TEST_CASE("mirror: any disk may be lost; everything is there, and repair gives back the copies", "[mirror]") {
  if (world_size() == 1) return;
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    CHECK(store.settled());
    REQUIRE(failure(store.close()) == "");
  }
  for (int victim = 0; victim < world_size(); ++victim) {
    INFO("without the disk of rank " << victim);
    meet();
    if (world_rank() == victim) fs::remove_all(disk_of(directory, victim));
    meet();
    Store store = open_store(test_options(directory));
    CHECK_FALSE(store.settled());
    check_all(store);
    const std::uint64_t before = count_copies(store);
    CHECK(before < kObjects * copies());
    const auto report = store.repair();
    REQUIRE(failure(report) == "");
    CHECK(report->copied_objects >= kObjects * copies() - before + report->removed_copies);
    CHECK(report->copied_objects < kObjects * copies());
    CHECK(report->failed_objects == 0);
    CHECK(store.settled());
    CHECK(count_copies(store) == kObjects * copies());
    check_all(store);
    const auto again = store.repair();
    REQUIRE(failure(again) == "");
    CHECK(again->copied_objects == 0);
    REQUIRE(failure(store.close()) == "");
  }
}

TEST_CASE("mirror: a disk that was away and comes back with old versions shows none of them", "[mirror]") {
  if (world_size() < 3) return;
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    REQUIRE(failure(store.close()) == "");
  }
  for (int victim = 0; victim < 3; ++victim) {
    const int version = victim + 1;
    auto options = test_options(directory);
    if (world_rank() == victim) options.directories.clear();
    meet();
    {
      Store store = open_store(options);
      for (int i = world_rank(); i < kObjects; i += world_size()) REQUIRE(failure(store.put(name_of(i), body_of(i, version))) == "");
      meet(store);
      check_all(store, version);
      if (victim == 1) REQUIRE(failure(store.repair()) == "");  // settled without it
      REQUIRE(failure(store.close()) == "");
    }
    meet();
    Store store = open_store(test_options(directory));
    CHECK_FALSE(store.settled());
    check_all(store, version);
    if (victim != 2) REQUIRE(failure(store.repair()) == "");
    check_all(store, version);
    REQUIRE(failure(store.close()) == "");
  }
}

TEST_CASE("mirror: repair needs one good copy: a damaged one that it would have copied is mended first", "[mirror]") {
  if (world_size() < 3) return;
  SharedDirectory directory;
  const BucketOptions three{Durability::none, 3, {}, {}};
  {
    Store store = open_store(test_options(directory));
    fill(store, three);
    REQUIRE(failure(store.close()) == "");
  }
  meet();
  if (world_rank() == 0) {
    damage_volumes(disk_of(directory, 0));
    fs::remove_all(disk_of(directory, 1));
  }
  meet();
  Store store = open_store(test_options(directory));
  const auto report = store.repair();
  REQUIRE(failure(report) == "");
  CHECK(report->failed_objects == 0);
  CHECK(count_copies(store) == kObjects * 3);
  check_all(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("mirror: sets of disks that were used apart are compared when they come together", "[mirror]") {
  if (world_size() < 3) return;
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    fill(store);
    REQUIRE(failure(store.close()) == "");
  }
  // Twice the same number of sets since: neither is behind the other by counting.
  for (const bool last_alone : {false, true}) {
    auto options = test_options(directory);
    if ((world_rank() == world_size() - 1) != last_alone) options.directories.clear();
    meet();
    Store store = open_store(options);
    for (int i = world_rank(); i < kObjects; i += world_size()) REQUIRE(failure(store.put(name_of(i), body_of(i, last_alone ? 2 : 1))) == "");
    meet(store);
    REQUIRE(failure(store.close()) == "");
  }
  meet();
  Store store = open_store(test_options(directory));
  CHECK_FALSE(store.settled());
  check_all(store, 2);
  REQUIRE(failure(store.repair()) == "");
  check_all(store, 2);
  CHECK(count_copies(store) == kObjects * copies());
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("dsort: mirrored and placed inputs count once, and a mirrored output gets its copies", "[mirror][dsort]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) {
    REQUIRE(failure(store.create_bucket("safe", {Durability::none, copies(), {}, {}})) == "");
    REQUIRE(failure(store.create_bucket("near", {Durability::none, 1, {PlacementPolicy::Kind::local, -1}, {}})) == "");
  }
  meet(store);
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i)
    for (const char* ending : {".bin", ".cls"}) names.push_back("s" + std::to_string(i) + ending);
  for (std::size_t i = static_cast<std::size_t>(world_rank()); i < names.size(); i += static_cast<std::size_t>(world_size()))
    for (const char* bucket : {"safe", "near"}) REQUIRE(failure(store.put({bucket, names[i]}, test_bytes(1000 + 10 * i, i))) == "");
  meet(store);
  std::vector<std::vector<std::byte>> shards[2];
  for (const bool listed : {false, true}) {
    for (const char* bucket : {"safe", "near"}) {
      INFO(bucket << (listed ? ", by name" : ", all"));
      DsortSpec spec;
      spec.input.bucket = bucket;
      if (listed) spec.input.names = names;
      spec.output_bucket = "safe";
      spec.output_template = std::string(bucket) + (listed ? "-listed" : "-all") + "-%03d.tar";
      spec.shard_samples = 9;
      spec.order = DsortOrder::shuffle;
      spec.seed = 5;
      const std::uint64_t before = count_copies(store);
      const auto report = store.dsort(spec);
      REQUIRE(failure(report) == "");
      CHECK(report->samples == 40);
      CHECK(report->duplicate_samples == 0);
      CHECK(report->shards == 5);
      CHECK(count_copies(store) == before + 5 * copies());
      for (int i = 0; i < 5; ++i) {
        const auto shard = store.get({"safe", std::string(bucket) + (listed ? "-listed" : "-all") + "-00" + std::to_string(i) + ".tar"});
        REQUIRE(failure(shard) == "");
        shards[listed].push_back(*shard);
      }
    }
    CHECK(std::equal(shards[listed].begin(), shards[listed].begin() + 5, shards[listed].begin() + 5));  // whatever the bucket
  }
  CHECK((shards[0] == shards[1]));
  DsortSpec missing;
  missing.input = {"near", "", "", {"s1.bin", "never.bin"}};
  missing.output_bucket = "safe";
  missing.output_template = "missing-%03d.tar";
  missing.shard_samples = 9;
  CHECK(code_of(store.dsort(missing)) == "not_found");
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("mirror: properties that cannot be met are refused with the reason", "[mirror]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  const auto too_many = store.create_bucket("safe", {Durability::none, static_cast<unsigned>(world_size()) + 1, {}, {}});
  REQUIRE_FALSE(too_many);
  CHECK(too_many.error().code == ErrorCode::invalid);
  CHECK_THAT(too_many.error().message, Catch::Contains("mirror=" + std::to_string(world_size() + 1)));
  CHECK_THAT(too_many.error().message, Catch::Contains("this store has " + std::to_string(world_size())));
  CHECK(code_of(store.create_bucket("safe", {Durability::none, 0, {}, {}})) == "invalid");
  meet(store);
  CHECK(store.buckets().value().empty());
  REQUIRE(failure(store.close()) == "");
}
