// What a check says of objects that were assembled from parts, and what --quarantine does with them.
#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include "object/check.hpp"
#include "store_fixture.hpp"
#include "volume/block_table.hpp"
#include "volume/disk.hpp"
#include "volume/file_cache.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

const std::string kFirst = noise(1'100'000, 1), kSecond = noise(1'200'000, 2);

/// A disk with one object of two parts, and another of one piece.
struct AssembledDisk {
  TemporaryDirectory directory;
  std::string path = directory.file("a");
  volume::Record record;

  AssembledDisk() {
    auto store = open_store({path});
    put(*store, "plain", "text");
    const auto upload = store->uploads().begin(0, {"bucket", "assembled"}, {});
    REQUIRE(upload);
    for (const std::uint32_t number : {1U, 2U}) {
      auto writer = store->uploads().part(0, upload->name, upload->id, number, UINT64_MAX);
      REQUIRE(writer);
      REQUIRE((*writer)->write(bytes_of(number == 1 ? kFirst : kSecond)));
      REQUIRE((*writer)->commit());
    }
    REQUIRE(store->uploads().complete(0, upload->name, upload->id, std::vector<WantedPart>{{1, {}}, {2, {}}}));
    REQUIRE(store->close());
    auto disk = volume::Disk::open(base::posix_file_system(), path, {});
    REQUIRE(disk);
    record = (*disk)->find("bucket", "assembled")->value();
    REQUIRE((*disk)->close());
  }
  [[nodiscard]] std::string file_of(const volume::Extent& extent) const { return volume::volume_file_path(path, extent.volume); }
  [[nodiscard]] CheckReport check(bool quarantine = false) const {
    CheckOptions options;
    options.quarantine = quarantine;
    const auto report = check_disk(path, options);
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    return *report;
  }
};

}  // namespace

TEST_CASE("check: an assembled object that is whole is healthy, and counts once", "[object][check][upload]") {
  const AssembledDisk disk;
  const auto report = disk.check();
  CHECK(report.healthy());
  CHECK(report.objects == 2);
  CHECK(report.object_bytes == kFirst.size() + kSecond.size() + 4);
}

TEST_CASE("check: a flipped byte of a part, of its header or of its hashes is the assembled object's damage", "[object][check][upload]") {
  const AssembledDisk disk;
  const auto& part = disk.record.extents.back();
  const std::uint64_t table = volume::table_place(part.offset, kSecond.size()).offset;
  struct Case {
    std::uint64_t offset;
    bool readable;
    const char* reason;
  };
  for (const Case& one : {Case{part.offset + 700'000, false, "the bytes of a part"}, Case{part.offset - 10, true, "its header is damaged"},
                          Case{table, true, "block hashes are damaged"}}) {
    flip_byte(disk.file_of(part), one.offset);
    const auto report = disk.check();
    REQUIRE(report.damaged.size() == 1);
    INFO(report.damaged.front().reason);
    CHECK(report.damaged.front().key == "assembled");
    CHECK(report.damaged.front().readable == one.readable);
    CHECK(report.damaged.front().reason.find(one.reason) != std::string::npos);
    CHECK(report.damaged.front().reason.find(disk.file_of(part)) != std::string::npos);
    flip_byte(disk.file_of(part), one.offset);
  }
  CHECK(disk.check().healthy());
}

TEST_CASE("check --quarantine: an assembled object whose list is damaged is written anew; one without a part is taken out, the rest kept",
          "[object][check][upload]") {
  const AssembledDisk disk;
  SECTION("list") {
    flip_byte(disk.file_of(*disk.record.list), disk.record.list->offset + 3);
    const auto report = disk.check(true);
    REQUIRE(report.damaged.size() == 1);
    CHECK(report.damaged.front().readable);
    CHECK(report.damaged.front().outcome == "written anew");
    auto store = open_store({disk.path});
    CHECK(get(*store, "assembled") == kFirst + kSecond);
    REQUIRE(store->close());
    CHECK(disk.check().damaged.empty());
  }
  SECTION("part") {
    std::filesystem::remove(disk.file_of(disk.record.extents.front()));
    CHECK(get(*open_store({disk.path}), "assembled") == "error: corrupt");
    const auto report = disk.check(true);
    REQUIRE(report.damaged.size() == 1);
    CHECK(report.damaged.front().key == "assembled");
    CHECK(!report.damaged.front().readable);
    INFO(report.damaged.front().outcome);
    const std::string kept = read_file(disk.path + "/quarantine/" + std::to_string(disk.record.sequence) + ".tar");
    CHECK(kept.find(kSecond) != std::string::npos);
    CHECK(get(*open_store({disk.path}), "assembled") == "error: not_found");
    CHECK(get(*open_store({disk.path}), "plain") == "text");
  }
}
