#include <catch2/catch.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "object/check.hpp"
#include "store_fixture.hpp"
#include "support/forwarding_file_system.hpp"

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

/// Writes something else than it is given into what lies in quarantine.
class LyingFileSystem final : public ForwardingFileSystem {
 public:
  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = ForwardingFileSystem::open(path, mode, permissions);
    if (!file || path.find("/quarantine/") == std::string::npos) return file;
    return std::make_unique<File>(std::move(*file));
  }

 private:
  class File final : public ForwardingFile {
   public:
    using ForwardingFile::ForwardingFile;
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      std::vector<std::byte> wrong(bytes.begin(), bytes.end());
      if (offset > 0) wrong.front() ^= std::byte{1};
      return ForwardingFile::write_at(offset, std::span<const std::byte>(wrong));
    }
  };
};

double seconds_of(const std::string& disk, const CheckOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(check_disk(disk, options));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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
  CHECK(seconds_of(disk, options) > 0.4);  // 2 MB, but for what goes before the first wait
}

TEST_CASE("check_disk: a rate counts what a rebuild reads, and the copies of quarantine", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  Place place;
  {
    const auto store = open_store({disk});
    for (int i = 0; i < 100; ++i) put(*store, "k" + std::to_string(i), noise(10'000, static_cast<std::uint64_t>(i)));
    put(*store, "large", noise(2'000'000, 2));
    place = place_of(*store, disk, "large");
  }
  CheckOptions options;
  options.bytes_per_s = 8'000'000;
  options.rebuild = true;
  CHECK(seconds_of(disk, options) > 0.43);  // of small objects all is read for their headers: 1.1 MB and another 3.1
  flip_byte(place.volume, place.offset + 1'000'000, 0x01);
  options.rebuild = false;
  options.quarantine = true;
  CHECK(seconds_of(disk, options) > 1.0);  // 3.1 MB, and 2 MB read, written and read again
}

TEST_CASE("quarantine: an object stays as it is when its copy is not what was written", "[object][check]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  Place place;
  {
    const auto store = open_store({disk});
    put(*store, "small", noise(5000, 1));
    place = place_of(*store, disk, "small");
  }
  flip_byte(place.volume, place.offset + 100, 0x01);
  LyingFileSystem fs;
  const auto report = check_disk(disk, with_quarantine(), {}, fs);
  REQUIRE(report);
  REQUIRE(report->damaged.size() == 1);
  CHECK(report->damaged.front().outcome.find("could not be taken out: ") == 0);
  CHECK(report->damaged.front().outcome.find("the copy is not what was written") != std::string::npos);
  CHECK(std::filesystem::is_empty(disk + "/quarantine"));
  CHECK(get(*open_bare_store({disk}), "small") == "error: corrupt");  // and not "not_found"
  REQUIRE(check_disk(disk, with_quarantine()));
  CHECK(get(*open_bare_store({disk}), "small") == "error: not_found");
}
