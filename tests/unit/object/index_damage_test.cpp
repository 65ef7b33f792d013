// An index that is lost, damaged, another disk's or of another time: it is a cache, the volumes are the truth.
#include <catch2/catch.hpp>

#include <filesystem>
#include <random>
#include <string>

#include "object/check.hpp"
#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr int kMany = 500;

/// With old versions and removals, which no index may bring back.
void fill(const std::string& disk, std::uint64_t seed) {
  const auto store = open_store({disk});
  for (int i = 0; i < kMany; ++i) put(*store, "many/" + std::to_string(i), noise(100, seed + static_cast<std::uint64_t>(i)));
  put(*store, "over", "old" + std::to_string(seed));
  put(*store, "gone", "gone");
  put(*store, "large", noise(1'500'000, seed));
  put(*store, "large gone", noise(1'500'000, seed));
}

/// What comes after the time of an old index.
void change(const std::string& disk, std::uint64_t seed) {
  const auto store = open_bare_store({disk});
  put(*store, "over", "new" + std::to_string(seed));
  REQUIRE(store->remove(0, {"bucket", "gone"}));
  REQUIRE(store->remove(0, {"bucket", "large gone"}));
  put(*store, "large", noise(1'600'000, seed));
}

void check_filled(const std::string& disk, std::uint64_t seed) {
  const auto store = open_bare_store({disk});
  CHECK(store->disks().front().trouble.empty());
  for (int i = 0; i < kMany; ++i) REQUIRE(get(*store, "many/" + std::to_string(i)) == noise(100, seed + static_cast<std::uint64_t>(i)));
  CHECK(get(*store, "over") == "new" + std::to_string(seed));
  CHECK(get(*store, "large") == noise(1'600'000, seed));
  for (const char* gone : {"gone", "large gone"}) CHECK(get(*store, gone) == "error: not_found");
  CHECK(store->disks().front().objects == kMany + 2);
  ListOptions options;
  options.max_keys = 1000;
  CHECK(store->list("bucket", options)->objects.size() == kMany + 2);
  put(*store, "after", "wards");
  REQUIRE(store->remove(0, {"bucket", "after"}));
}

void replace_index(const std::string& from, const std::string& disk) {
  fs::remove_all(disk + "/index");
  fs::copy(from, disk + "/index", fs::copy_options::recursive);
}

}  // namespace

TEST_CASE("open: an index that is lost, cut, garbage, another disk's or of an earlier time is made anew", "[object][index]") {
  const bool check_first = GENERATE(false, true);
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a"), other = directory.file("b");
  fill(disk, 1);
  fs::copy(disk + "/index", directory.file("old"), fs::copy_options::recursive);
  change(disk, 1);
  const std::string data = disk + "/index/data.mdb";
  SECTION("lost") {
    fs::remove_all(disk + "/index");
  }
  SECTION("its file is lost") {
    fs::remove(data);
  }
  SECTION("empty") {
    fs::resize_file(data, 0);
  }
  SECTION("cut within a page") {
    fs::resize_file(data, fs::file_size(data) - 5000);
  }
  SECTION("garbage") {
    write_file(data, noise(200'000, 9));
  }
  SECTION("zeros") {
    write_file(data, std::string(200'000, '\0'));
  }
  SECTION("another disk's, with the same names") {
    fill(other, 7);
    replace_index(other + "/index", disk);
  }
  SECTION("of an earlier time") {
    replace_index(directory.file("old"), disk);
  }
  SECTION("of an earlier time, the lock's file lost as well") {
    replace_index(directory.file("old"), disk);
    fs::remove(disk + "/lock");
  }
  if (check_first) {
    const auto report = check_disk(disk, {});
    REQUIRE(report);
    CHECK(report->healthy());
    CHECK(report->rebuilt);
  }
  check_filled(disk, 1);
}

TEST_CASE("check_disk: an index whose pages are damaged is made anew, and does not end the process", "[object][index][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a"), copy = directory.file("copy");
  fill(disk, 1);
  change(disk, 1);
  const std::uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  INFO("seed " << seed);
  const std::string intact = read_file(disk + "/index/data.mdb");
  for (int round = 0; round < 12; ++round) {
    fs::remove_all(copy);
    fs::copy(disk, copy, fs::copy_options::recursive);
    std::string bytes = intact;
    for (std::size_t page = 2 * 4096; page + 4096 <= bytes.size(); page += 4096) {  // all but those that say where the others are
      if (round % 3 == 0)
        for (std::size_t i = 0; i < 16; ++i) bytes[page + i] = static_cast<char>(random());  // its header
      if (round % 3 == 1)
        for (std::size_t i = 0; i < 4096; ++i) bytes[page + i] = static_cast<char>(random());
      if (round % 3 == 2) bytes.replace(page, 4096, 4096, '\0');
    }
    write_file(copy + "/index/data.mdb", bytes);
    INFO("round " << round);
    const auto report = check_disk(copy, {});
    REQUIRE(report);
    CHECK(report->healthy());
    CHECK(report->rebuilt);
    check_filled(copy, 1);
  }
}
