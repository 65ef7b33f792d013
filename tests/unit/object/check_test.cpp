#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "object/check.hpp"
#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

TEST_CASE("check_disk: a healthy disk; counts of what it holds", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  {
    const auto store = open_store({disk});
    put(*store, "x", noise(5000, 1));
    put(*store, "x", noise(6000, 2));
    put(*store, "large", noise(2'000'000, 3));
    put(*store, "gone", "1");
    REQUIRE(store->remove(0, {"bucket", "gone"}));
    CHECK(check_disk(disk, {}).error().code == ErrorCode::busy);
  }
  std::uint64_t done = 0, total = 0;
  const auto report = check_disk(disk, {}, [&](const CheckProgress& progress) {
    CHECK(progress.bytes_done >= done);
    done = progress.bytes_done;
    total = progress.bytes_total;
  });
  REQUIRE(report);
  CHECK(report->healthy());
  CHECK(report->objects == 2);
  CHECK(report->object_bytes == 2'006'000);
  CHECK(report->members == 7);  // bucket, x twice, large and its block hashes, gone and its removal
  CHECK(report->volumes == 2);
  CHECK(!report->rebuilt);
  CHECK(report->stale_bytes > 5000);
  CHECK((total > 0 && done == total));
  const auto rebuilt = check_disk(disk, {true});
  REQUIRE(rebuilt);
  CHECK(rebuilt->healthy());
  CHECK(rebuilt->rebuilt);
  CHECK(rebuilt->objects == 2);
  CHECK(check_disk(directory.path(), {}).error().code == ErrorCode::invalid);
}

TEST_CASE("check_disk: every flipped byte of a volume is found, and the object it belongs to is named", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  {
    const auto store = open_store({disk});
    put(*store, "first", noise(700, 1));
    put(*store, "second", noise(300, 2));
  }
  const std::string volume = volume_path(disk, 1);
  const auto size = std::filesystem::file_size(volume);
  for (std::uint64_t at = 0; at < size; at += 7) {
    flip_byte(volume, at);
    const auto report = check_disk(disk, {});
    flip_byte(volume, at);
    INFO("byte " << at);
    REQUIRE(report);
    CHECK(!report->healthy());
    if (!report->damaged.empty()) CHECK(report->damaged.size() == 1);
  }
  const auto report = check_disk(disk, {});
  REQUIRE(report);
  CHECK(report->healthy());
}

TEST_CASE("check_disk: a missing volume and a lost object are named", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  std::uint64_t volume = 0;
  {
    const auto store = open_store({disk});
    put(*store, "large", noise(2'000'000, 3));
    volume = store->find(0, {"bucket", "large"})->extents.front().volume;
  }
  std::filesystem::remove(volume_path(disk, volume));
  {
    const auto store = open_store({disk});
    CHECK(!store->disks().front().trouble.empty());
    CHECK(get(*store, "large") == "error: corrupt");
    put(*store, "other", "fine");
    CHECK(get(*store, "other") == "fine");
  }
  const auto report = check_disk(disk, {});
  REQUIRE(report);
  REQUIRE(report->damaged.size() == 1);
  CHECK(report->damaged.front().key == "large");
}
