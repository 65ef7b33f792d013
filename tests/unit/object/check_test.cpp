#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "object/check.hpp"
#include "store_fixture.hpp"
#include "support/forwarding_file_system.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

/// Some bytes of one file cannot be read.
class BadSector final : public ForwardingFileSystem {
 public:
  BadSector(std::string path, std::uint64_t begin, std::uint64_t end) : path_(std::move(path)), begin_(begin), end_(end) {}
  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    TARN_TRY(auto file, ForwardingFileSystem::open(path, mode, permissions));
    if (path != path_) return file;
    return std::make_unique<File>(std::move(file), *this);
  }

 private:
  class File final : public ForwardingFile {
   public:
    File(std::unique_ptr<base::File> real, const BadSector& fs) : ForwardingFile(std::move(real)), fs_(fs) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override {
      if (offset < fs_.end_ && offset + target.size() > fs_.begin_) return fail(ErrorCode::io, "bad sector");
      return ForwardingFile::read_at(offset, target);
    }

   private:
    const BadSector& fs_;
  };
  const std::string path_;
  const std::uint64_t begin_, end_;
};

CheckOptions with_quarantine() {
  CheckOptions options;
  options.quarantine = true;
  return options;
}

}  // namespace

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

TEST_CASE("check_disk: a table of block hashes that is cut off or cannot be read puts an intact object at risk, no more", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a"), body = noise(2'000'000, 3);
  std::string volume;
  std::uint64_t table = 0;
  {
    const auto store = open_store({disk});
    put(*store, "large", body);
    const auto extent = store->find(0, {"bucket", "large"})->extents.front();
    volume = volume_path(disk, extent.volume);
    table = extent.offset + 2'000'384 + 1536;
  }
  Result<CheckReport> report = CheckReport();
  SECTION("cut off") {
    std::filesystem::resize_file(volume, table + 100);
    report = check_disk(disk, with_quarantine());
  }
  SECTION("cut off with its header") {
    std::filesystem::resize_file(volume, table - 1536);
    report = check_disk(disk, with_quarantine());
  }
  SECTION("not readable") {
    BadSector fs(volume, table + 8, table + 16);
    report = check_disk(disk, with_quarantine(), {}, fs);
  }
  REQUIRE(report);
  REQUIRE(report->damaged.size() == 1);
  INFO(report->damaged.front().reason);
  CHECK(report->damaged.front().readable);
  CHECK(report->damaged.front().reason.find("its bytes are intact") != std::string::npos);
  CHECK(report->damaged.front().outcome == "written anew");
  CHECK(check_disk(disk, {})->healthy());
  CHECK(get(*open_bare_store({disk}), "large") == body);
}

TEST_CASE("check_disk: of a volume that cannot be read to its end it says so once, and leaves what it has not seen alone", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  constexpr int kObjects = 100;
  std::uint64_t bad = 0;
  {
    const auto store = open_store({disk});
    for (int i = 0; i < kObjects; ++i) put(*store, "k" + std::to_string(i), noise(20'000, static_cast<std::uint64_t>(i)));
    bad = store->find(0, {"bucket", "k60"})->extents.front().offset - 100;
    put(*store, "large", noise(2'000'000, 1));
  }
  flip_byte(volume_path(disk, 1), 4000, 0x01);  // in k0, which is read before
  std::uint64_t begin = bad, end = bad + 10;
  if (GENERATE(false, true)) begin = 0, end = UINT64_MAX;
  BadSector fs(volume_path(disk, 1), begin, end);
  const auto report = check_disk(disk, with_quarantine(), {}, fs);
  REQUIRE(report);
  CHECK(report->damaged.size() == (begin == 0 ? 0 : 1));
  if (begin != 0) CHECK(report->troubles.front().find("; 40 objects in it were not looked at") != std::string::npos);
  REQUIRE(report->troubles.size() == 1);
  INFO(report->troubles.front());
  CHECK(report->troubles.front().find("could not be read to its end (bad sector)") != std::string::npos);
  CHECK(report->troubles.front().find(" objects in it were not looked at") != std::string::npos);
  const auto again = check_disk(disk, {});
  REQUIRE(again);
  CHECK(again->objects == static_cast<std::uint64_t>(kObjects) + (begin == 0 ? 1 : 0));
  CHECK(again->damaged.size() == (begin == 0 ? 1 : 0));
}
