#include <catch2/catch.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "object/check.hpp"
#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

struct Place {
  std::string volume;
  std::uint64_t offset = 0;
  std::uint64_t sequence = 0;
};

Place place_of(const LocalStore& store, const std::string& disk, const std::string& key) {
  const auto found = store.find(0, {"bucket", key});
  REQUIRE(found);
  return {volume_path(disk, found->extents.front().volume), found->extents.front().offset, found->sequence};
}

CheckOptions with_quarantine() {
  CheckOptions options;
  options.quarantine = true;
  return options;
}

}  // namespace

TEST_CASE("quarantine: damaged objects leave the listing, what is left of them is a tar of its own, the disk is healthy again", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  const std::string small = noise(5000, 1), large = noise(2'000'000, 2);
  Place small_place, large_place;
  {
    const auto store = open_store({disk});
    put(*store, "dir/small", small, 0, {"text/plain", {{"m", "v"}}});
    put(*store, "large", large);
    put(*store, "fine", "fine");
    small_place = place_of(*store, disk, "dir/small");
    large_place = place_of(*store, disk, "large");
  }
  flip_byte(small_place.volume, small_place.offset + 100, 0x01);
  flip_byte(large_place.volume, large_place.offset + 1'000'000, 0x01);
  const auto report = check_disk(disk, with_quarantine());
  REQUIRE(report);
  REQUIRE(report->damaged.size() == 2);
  for (const auto& damaged : report->damaged) {
    INFO(damaged.outcome);
    CHECK(damaged.outcome.find(disk + "/quarantine/" + std::to_string(damaged.key == "large" ? large_place.sequence : small_place.sequence) +
                               ".tar") != std::string::npos);
    const std::string path = damaged.outcome.substr(damaged.outcome.find('/'));
    REQUIRE(std::system(("tar -xf " + path + " -C " + directory.path()).c_str()) == 0);
  }
  std::string wrong = small, wrong_large = large;
  wrong[100] = static_cast<char>(wrong[100] ^ 0x01);
  wrong_large[1'000'000] = static_cast<char>(wrong_large[1'000'000] ^ 0x01);
  CHECK(read_file(directory.file("bucket/dir/small")) == wrong);
  CHECK(read_file(directory.file("bucket/large")) == wrong_large);
  CHECK(!std::filesystem::exists(large_place.volume));
  const bool rebuild = GENERATE(false, true);
  const auto again = check_disk(disk, {rebuild});
  REQUIRE(again);
  CHECK(again->healthy());
  const auto store = open_bare_store({disk});
  const auto page = store->list("bucket", {});
  REQUIRE(page);
  REQUIRE(page->objects.size() == 1);
  CHECK(page->objects.front().key == "fine");
  CHECK(get(*store, "large") == "error: not_found");
  put(*store, "large", large);
  CHECK(get(*store, "large") == large);
}

TEST_CASE("quarantine: objects whose bytes are intact are written anew, with their properties", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  const std::string small = noise(5000, 1), large = noise(2'000'000, 2);
  Place small_place, large_place, table_place;
  ObjectInfo before;
  {
    const auto store = open_store({disk});
    put(*store, "small", small, 0, {"text/plain", {{"m", "v"}}});
    put(*store, "large", large);
    put(*store, "table", large);
    small_place = place_of(*store, disk, "small");
    large_place = place_of(*store, disk, "large");
    table_place = place_of(*store, disk, "table");
    before = store->find(0, {"bucket", "small"})->info;
  }
  flip_byte(small_place.volume, small_place.offset - 100, 0x01);  // in its header
  flip_byte(large_place.volume, 100, 0x01);
  flip_byte(table_place.volume, table_place.offset + 2'000'384 + 1536 + 5, 0x01);
  const auto report = check_disk(disk, with_quarantine());
  REQUIRE(report);
  REQUIRE(report->damaged.size() == 3);
  for (const auto& damaged : report->damaged) {
    CHECK(damaged.readable);
    CHECK(damaged.outcome == "written anew");
  }
  CHECK(!std::filesystem::exists(disk + "/quarantine"));
  CHECK(check_disk(disk, {})->damaged.empty());
  const auto store = open_bare_store({disk});
  CHECK(get(*store, "small") == small);
  CHECK(get(*store, "large") == large);
  CHECK(get(*store, "table") == large);
  const auto after = store->find(0, {"bucket", "small"})->info;
  CHECK(after.modified_ns == before.modified_ns);
  CHECK(after.content_type == before.content_type);
  CHECK(after.user_metadata == before.user_metadata);
}

TEST_CASE("quarantine: an object whose volume is gone is taken out as well", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  Place place;
  {
    const auto store = open_store({disk});
    put(*store, "large", noise(2'000'000, 2));
    place = place_of(*store, disk, "large");
  }
  std::filesystem::remove(place.volume);
  const auto report = check_disk(disk, with_quarantine());
  REQUIRE(report);
  REQUIRE(report->damaged.size() == 1);
  CHECK(report->damaged.front().outcome == "taken out; nothing is left of it");
  CHECK(check_disk(disk, {})->healthy());
}

TEST_CASE("check_disk: a rate makes it take its time", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  {
    const auto store = open_store({disk});
    put(*store, "large", noise(2'000'000, 2));
  }
  CheckOptions options;
  options.bytes_per_s = 4'000'000;
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(check_disk(disk, options)->healthy());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  CHECK(seconds > 0.4);  // 2 MB, but for what goes before the first wait
}
