// What becomes of assembled objects and their parts when the index is lost, the power goes, or something is damaged.
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "object/check.hpp"
#include "store_fixture.hpp"
#include "volume/disk.hpp"
#include "volume/file_cache.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

const ObjectName kName{"bucket", "assembled"};
const std::string kFirst = noise(1'100'000, 1), kSecond = noise(1'200'000, 2);

void assemble(LocalStore& store) {
  const auto upload = store.uploads().begin(0, kName, {});
  REQUIRE(upload);
  for (const std::uint32_t number : {1U, 2U}) {
    auto writer = store.uploads().part(0, kName, upload->id, number, UINT64_MAX);
    REQUIRE(writer);
    REQUIRE((*writer)->write(bytes_of(number == 1 ? kFirst : kSecond)));
    REQUIRE((*writer)->commit());
  }
  REQUIRE(store.uploads().complete(0, kName, upload->id, std::vector<WantedPart>{{1, {}}, {2, {}}}));
}

volume::Record record_of(const std::string& disk) {
  const auto opened = volume::Disk::open(base::posix_file_system(), disk, {});
  REQUIRE(opened);
  auto record = (*opened)->find(kName.bucket, kName.key);
  REQUIRE(record);
  REQUIRE(*record);
  REQUIRE((*opened)->close());
  return **record;
}

std::uint64_t highest_volume(const std::string& disk) {
  std::uint64_t highest = 0;
  for (const auto& entry : fs::directory_iterator(disk + "/volumes"))
    highest = std::max(highest, volume::volume_number(entry.path().filename().string()));
  return highest;
}

/// Whether a file in quarantine/ holds these bytes.
bool kept(const std::string& disk, const std::string& bytes) {
  if (!fs::exists(disk + "/quarantine")) return false;
  return std::any_of(fs::directory_iterator(disk + "/quarantine"), fs::directory_iterator(),
                     [&](const auto& entry) { return read_file(entry.path().string()).find(bytes) != std::string::npos; });
}

void lose_power(const std::string& disk) {
  std::string text = read_file(disk + "/lock");
  text.replace(text.find("\"clean\":"), 8, "\"was\"  :");
  text.replace(text.find("\"boot\":"), 7, "\"befo\":");
  write_file(disk + "/lock", text);
}

}  // namespace

TEST_CASE("open: the number of a part's volume is not given to another while an old list may speak of it", "[object][upload][recovery]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  auto store = open_store({disk});
  put(*store, "stays", "x");
  assemble(*store);
  REQUIRE(store->flush());
  const std::uint64_t highest = highest_volume(disk);
  REQUIRE(store->remove(0, kName));
  REQUIRE(store->close());
  REQUIRE(highest_volume(disk) < highest);
  for (const bool rebuild : {false, true}) {
    if (rebuild) fs::remove_all(disk + "/index");
    store = open_bare_store({disk});
    put(*store, rebuild ? "large again" : "large", kFirst);
    REQUIRE(store->flush());
    CHECK(highest_volume(disk) > highest);
    REQUIRE(store->close());
  }
  fs::remove_all(disk + "/index");
  store = open_bare_store({disk});
  for (const char* key : {"large", "large again"}) CHECK(get(*store, key) == kFirst);
  CHECK(get(*store, "stays") == "x");
  CHECK(get(*store, "assembled") == "error: not_found");
}

TEST_CASE("open: after a loss of power with a bad part, the good parts of its object are kept in quarantine/", "[object][upload][recovery][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  auto store = open_store({disk});
  assemble(*store);
  REQUIRE(store->close());
  const auto record = record_of(disk);
  flip_byte(volume_path(disk, record.extents.front().volume), record.extents.front().offset + 70'000);
  lose_power(disk);
  store = open_bare_store({disk});
  CHECK(get(*store, "assembled") == "error: not_found");
  CHECK(kept(disk, kSecond));
  CHECK(!store->disks().front().trouble.empty());
}

TEST_CASE("open: an index that is made anew beside a damaged list keeps the parts in quarantine/; so it does with an upload whose note is damaged",
          "[object][upload][recovery]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  auto store = open_store({disk});
  put(*store, "stays", "x");
  if (GENERATE(false, true)) {
    assemble(*store);
    REQUIRE(store->close());
    const auto record = record_of(disk);
    flip_byte(volume_path(disk, record.list->volume), record.list->offset + 2);
  } else {
    const auto upload = store->uploads().begin(0, kName, {});
    REQUIRE(upload);
    for (const std::uint32_t number : {1U, 2U}) {
      auto writer = store->uploads().part(0, kName, upload->id, number, UINT64_MAX);
      REQUIRE(writer);
      REQUIRE((*writer)->write(bytes_of(number == 1 ? kFirst : kSecond)));
      REQUIRE((*writer)->commit());
    }
    REQUIRE(store->close());
    for (const auto& entry : fs::directory_iterator(disk + "/volumes")) {
      const std::size_t at = read_file(entry.path().string()).find("SCHILY.xattr.user.tarn.bucket=.uploads");
      if (at != std::string::npos) flip_byte(entry.path().string(), at + 40);
    }
  }
  fs::remove_all(disk + "/index");
  store = open_bare_store({disk});
  CHECK(get(*store, "assembled") == "error: not_found");
  CHECK(get(*store, "stays") == "x");
  CHECK(kept(disk, kFirst));
  CHECK(kept(disk, kSecond));
  REQUIRE(store->flush());
  CHECK(solo_volumes(disk) == 0);
}

TEST_CASE("open: a part that lost its upload's note, but belongs to an object, stays where it is on a damaged disk", "[object][upload][recovery]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  auto store = open_store({disk});
  put(*store, "damaged", "some text");
  assemble(*store);
  REQUIRE(store->close());
  // As if the removals of the parts' names had been lost.
  for (const auto& entry : fs::directory_iterator(disk + "/volumes")) {
    std::string volume = read_file(entry.path().string());
    // Removals are found by their names; one byte of each makes it nothing.
    for (std::size_t at = volume.find("tarn.op=delete"); at != std::string::npos; at = volume.find("tarn.op=delete", at + 1)) {
      const std::size_t member_end = volume.find("PaxHeaders/", at);
      if (volume.substr(at, member_end - at).find("bucket=.parts") != std::string::npos) flip_byte(entry.path().string(), at + 12);
    }
  }
  fs::remove_all(disk + "/index");
  store = open_bare_store({disk});
  CHECK(!store->disks().front().trouble.empty());
  CHECK(get(*store, "assembled") == kFirst + kSecond);
  REQUIRE(store->close());
  store = open_bare_store({disk});
  CHECK(get(*store, "assembled") == kFirst + kSecond);
}

TEST_CASE("open: after a loss of power a log of many appends is read once, and nothing is said of its older versions", "[object][append][recovery]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  auto store = open_store({disk});
  std::string whole = noise(1'500'000, 1);
  put(*store, "log", whole);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const std::string more = noise(5000, 10 + i);
    REQUIRE(store->append(0, {"bucket", "log"}, bytes_of(more)));
    whole += more;
  }
  REQUIRE(store->close());
  lose_power(disk);
  store = open_bare_store({disk});
  CHECK(get(*store, "log") == whole);
  CHECK(store->disks().front().trouble.empty());
}

TEST_CASE("open: after a loss of power a part that has lost its block hashes is read all the same", "[object][upload][recovery][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  auto store = open_store({disk});
  assemble(*store);
  REQUIRE(store->close());
  const auto record = record_of(disk);
  const auto& second = record.extents.back();
  const auto table = volume::table_place(second.offset, second.length_bytes);
  const std::string path = volume_path(disk, second.volume);
  std::string volume = read_file(path);
  volume.replace(table.offset, table.size_bytes, table.size_bytes, '\0');
  write_file(path, volume);
  lose_power(disk);
  store = open_bare_store({disk});
  CHECK(get(*store, "assembled") == kFirst + kSecond);
  const auto reader = store->open_reader(0, kName);
  REQUIRE(reader);
  std::vector<std::byte> part(1000);
  REQUIRE((*reader)->read(kFirst.size() + 5, part));
  CHECK(text_of(part) == kSecond.substr(5, 1000));
}
