// Disks that do not give back some of their bytes: what can be read is there, what cannot is named, and nothing that comes to light
// later has been thrown away meanwhile.
#include <catch2/catch.hpp>

#include <climits>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "object/check.hpp"
#include "store_fixture.hpp"
#include "support/forwarding_file_system.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

/// Reads of these ranges fail, as often as they are tried.
class BadSectors final : public ForwardingFileSystem {
 public:
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> bad;  // path -> begin, end
  bool no_index = false;                                               // nor can an index be made
  bool full = false;                                                   // but for the space of the old index
  int lock_writes_left = INT_MAX;

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    const bool no_room = full && fs::exists(fs::path(path).parent_path() / "data.mdb.old");
    if ((no_index || no_room) && path.ends_with("/lock.mdb")) return fail(base::errno_error(ENOSPC, "open", path));
    TARN_TRY(auto file, ForwardingFileSystem::open(path, mode, permissions));
    return std::make_unique<BadFile>(*this, std::move(file));
  }
  Result<base::Space> space(const std::string& path) override {
    TARN_TRY(auto space, ForwardingFileSystem::space(path));
    if (full) space.free_bytes = 0;
    return space;
  }

 private:
  class BadFile final : public ForwardingFile {
   public:
    BadFile(BadSectors& sectors, std::unique_ptr<base::File> real) : ForwardingFile(std::move(real)), sectors_(sectors) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override {
      const auto at = sectors_.bad.find(path());
      if (at != sectors_.bad.end() && offset < at->second.second && offset + target.size() > at->second.first)
        return fail(base::errno_error(EIO, "read", path()));
      return ForwardingFile::read_at(offset, target);
    }
    using ForwardingFile::write_at;
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      if (path().ends_with("/lock") && sectors_.lock_writes_left-- <= 0) return fail(base::errno_error(EIO, "write", path()));
      return ForwardingFile::write_at(offset, bytes);
    }

   private:
    BadSectors& sectors_;
  };
};

std::unique_ptr<LocalStore> open_on(BadSectors& sectors, const std::string& disk) {
  LocalStoreOptions options;
  options.directories = {disk};
  options.compaction = {100 << 20, 1000, 0};  // as hard as it goes
  auto store = LocalStore::open(options, sectors);
  INFO((store ? std::string() : store.error().message));
  REQUIRE(store);
  return std::move(*store);
}

/// As after a loss of power.
void lose_power(const std::string& disk) {
  for (const char* const word : {"\"clean\":", "\"boot\":"}) {
    std::string text = read_file(disk + "/lock");
    text.replace(text.find(word), 3, "\"xx");
    write_file(disk + "/lock", text);
  }
}

void lose_index(const std::string& disk) {
  fs::remove_all(disk + "/index");
}

std::string trouble_of(const LocalStore& store) {
  return store.disks().front().trouble;
}

/// Two large ones, then "0" to "9" in one volume, each twice, and one that was removed.
struct Filled {
  std::string disk, volume;
  std::map<std::string, StoredExtent> at;  // key -> its newest version
};
Filled fill(const TemporaryDirectory& directory) {
  Filled filled{directory.file("a"), {}, {}};
  const auto store = open_store({filled.disk});
  put(*store, "large", noise(1'500'000, 1));
  put(*store, "second", noise(1'500'000, 2));
  for (const char* const version : {"old", "new"})
    for (int i = 0; i < 10; ++i) put(*store, std::to_string(i), version + std::string(20'000, static_cast<char>('0' + i)));
  put(*store, "gone", "x");
  REQUIRE(store->remove(0, {"bucket", "gone"}));
  for (const char* const key : {"0", "5", "9", "large", "second"}) filled.at[key] = store->find(0, {"bucket", key})->extents.front();
  filled.volume = fs::canonical(volume_path(filled.disk, 1)).string();
  REQUIRE(store->close());
  return filled;
}

std::string body(int i, const char* version = "new") {
  return version + std::string(20'000, static_cast<char>('0' + i));
}

void check_all(const LocalStore& store) {
  for (int i = 0; i < 10; ++i) CHECK((get(store, std::to_string(i)) == body(i)));
  CHECK(get(store, "gone") == "error: not_found");
  CHECK((get(store, "large") == noise(1'500'000, 1)));
  CHECK((get(store, "second") == noise(1'500'000, 2)));
  CHECK(trouble_of(store).empty());
}

}  // namespace

TEST_CASE("open: a header that cannot be read hides its object only, and once it can be read the object is there again", "[object][faults]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  const bool power_lost = GENERATE(false, true);
  if (power_lost)
    lose_power(filled.disk);
  else
    lose_index(filled.disk);
  BadSectors sectors;
  const std::uint64_t header = filled.at.at("5").offset - 512;
  sectors.bad[filled.volume] = {header, header + 512};
  const std::uint64_t page = header / 4096 * 4096;
  for (int round = 0; round < 2; ++round) {
    const auto store = open_on(sectors, filled.disk);
    for (int i = 0; i < 10; ++i) CHECK((get(*store, std::to_string(i)) == (i == 6 && round == 1 ? "newer" : body(i, i == 5 ? "old" : "new"))));
    CHECK(get(*store, "gone") == "error: not_found");
    CHECK((get(*store, "large") == noise(1'500'000, 1)));
    CHECK(trouble_of(*store).find(filled.volume + ": bytes " + std::to_string(page) + " to ") != std::string::npos);
    CHECK(trouble_of(*store).find("cannot be read") != std::string::npos);
    put(*store, "meanwhile", "m" + std::to_string(round));
    for (int i = 0; i < 30; ++i) put(*store, "garbage", noise(5000, static_cast<std::uint64_t>(i)));
    REQUIRE(store->remove(0, {"bucket", "garbage"}));
    if (round == 0) put(*store, "6", "newer");
    if (round == 1) put(*store, "6", body(6));
    REQUIRE(store->compact());
    REQUIRE(store->close());
  }
  CHECK(fs::exists(filled.volume));
  sectors.bad.clear();
  for (int round = 0; round < 2; ++round) {
    const auto store = open_on(sectors, filled.disk);
    check_all(*store);
    CHECK(get(*store, "meanwhile") == "m1");
    CHECK(get(*store, "garbage") == "error: not_found");
  }
  CHECK(check_disk(filled.disk, {})->healthy());
}

TEST_CASE("open: what was put while a newer version was hidden stays the newest", "[object][faults]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  lose_index(filled.disk);
  BadSectors sectors;
  sectors.bad[filled.volume] = {filled.at.at("5").offset - 512, fs::file_size(filled.volume)};  // to its end
  {
    const auto store = open_on(sectors, filled.disk);
    CHECK((get(*store, "9") == body(9, "old")));
    put(*store, "9", "put since");
    put(*store, "large", "small now");
  }
  sectors.bad.clear();
  const auto store = open_on(sectors, filled.disk);
  CHECK(get(*store, "9") == "put since");
  CHECK(get(*store, "large") == "small now");
  CHECK((get(*store, "5") == body(5)));
  CHECK(get(*store, "gone") == "error: not_found");
}

TEST_CASE("open: no compaction removes what was hidden when the disk was opened", "[object][faults]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  lose_index(filled.disk);
  BadSectors sectors;
  const std::uint64_t header = filled.at.at("5").offset - 512;
  sectors.bad[filled.volume] = {header, header + 512};
  {
    const auto store = open_on(sectors, filled.disk);
    CHECK((get(*store, "5") == body(5, "old")));
    sectors.bad.clear();  // it was a matter of a moment
    for (int i = 0; i < 30; ++i) put(*store, "garbage", noise(50'000, static_cast<std::uint64_t>(i)));
    REQUIRE(store->remove(0, {"bucket", "garbage"}));
    REQUIRE(store->compact());
  }
  check_all(*open_on(sectors, filled.disk));
}

/// A disk whose index has not seen the newest version of "0", which begins at `indexed` in the volume.
struct Behind {
  Filled filled;
  std::uint64_t indexed;
};
Behind fall_behind(const TemporaryDirectory& directory) {
  Behind behind{fill(directory), 0};
  const std::string disk = behind.filled.disk, copy = directory.file("copy");
  fs::copy(disk + "/index", copy, fs::copy_options::recursive);
  const std::string lock = read_file(disk + "/lock");
  behind.indexed = fs::file_size(behind.filled.volume);
  {
    const auto store = open_store({disk});
    put(*store, "0", "behind");
  }
  lose_index(disk);
  fs::copy(copy, disk + "/index", fs::copy_options::recursive);
  write_file(disk + "/lock", lock);
  return behind;
}

TEST_CASE("open: the end of a volume that the index has not seen and that cannot be read is read at a later open", "[object][faults]") {
  const TemporaryDirectory directory;
  const auto [filled, indexed] = fall_behind(directory);
  BadSectors sectors;
  sectors.bad[filled.volume] = {indexed, indexed + 512};
  {
    const auto store = open_on(sectors, filled.disk);
    CHECK((get(*store, "0") == body(0)));
    CHECK(trouble_of(*store).find("cannot be read") != std::string::npos);
    put(*store, "1", "newer");
  }
  sectors.bad.clear();
  const auto store = open_on(sectors, filled.disk);
  CHECK((get(*store, "0") == "behind"));
  CHECK((get(*store, "1") == "newer"));
  CHECK(trouble_of(*store).empty());
}

TEST_CASE("open: so it is when the first open ends before it is done", "[object][faults]") {
  const TemporaryDirectory directory;
  const auto [filled, indexed] = fall_behind(directory);
  BadSectors sectors;
  sectors.bad[filled.volume] = {indexed, indexed + 512};
  sectors.lock_writes_left = 1;
  LocalStoreOptions options;
  options.directories = {filled.disk};
  REQUIRE_FALSE(LocalStore::open(options, sectors));
  CHECK((get(*open_bare_store({filled.disk}), "0") == "behind"));
}

TEST_CASE("open: where only an object's bytes cannot be read, it stays in the list and its reads give the error", "[object][faults]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  const bool power_lost = GENERATE(false, true);
  const std::string key = GENERATE("5", "large");
  if (power_lost)
    lose_power(filled.disk);
  else
    lose_index(filled.disk);
  const StoredExtent& at = filled.at.at(key);
  const std::string path = fs::canonical(volume_path(filled.disk, at.volume)).string();
  BadSectors sectors;
  sectors.bad[path] = {at.offset + 8192, at.offset + 8704};
  {
    const auto store = open_on(sectors, filled.disk);
    CHECK(get(*store, key) == "error: io");
    CHECK((get(*store, "4") == body(4)));
    CHECK((get(*store, "second") == noise(1'500'000, 2)));
    CHECK(store->list("bucket", {})->objects.size() == 12);
    if (power_lost) CHECK(trouble_of(*store).find(path + ": bytes ") != std::string::npos);
  }
  sectors.bad.clear();
  for (int round = 0; round < 2; ++round) check_all(*open_on(sectors, filled.disk));
}

TEST_CASE("open: after a loss of power, an object that could not be verified is verified as soon as it can be read", "[object][faults]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  const std::string key = GENERATE("5", "large");  // the version before is in the same volume, or has one to itself
  std::uint64_t data = 0;
  {
    const auto store = open_bare_store({filled.disk});
    put(*store, key, "never written whole" + std::string(20'000, 'x'));
    data = store->find(0, {"bucket", key})->extents.front().offset;
    if (key == "large") fs::copy_file(volume_path(filled.disk, filled.at.at(key).volume), directory.file("large"));
  }
  // The old version of a large object goes with the sync of the new one, which in this history was not.
  if (key == "large") fs::copy_file(directory.file("large"), volume_path(filled.disk, filled.at.at(key).volume));
  lose_power(filled.disk);
  BadSectors sectors;
  sectors.bad[filled.volume] = {data + 8192, data + 8704};
  flip_byte(filled.volume, data + 8200);
  for (int round = 0; round < 2; ++round) {
    const auto store = open_on(sectors, filled.disk);
    CHECK(get(*store, key) == "error: io");
    REQUIRE(store->close());
  }
  sectors.bad.clear();
  CHECK((get(*open_on(sectors, filled.disk), key) == (key == "5" ? body(5) : noise(1'500'000, 1))));
}

TEST_CASE("open: a disk of which nothing can be read is refused, and opens when it can", "[object][faults]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  lose_index(filled.disk);
  BadSectors sectors;
  for (const auto& entry : fs::directory_iterator(fs::canonical(filled.disk + "/volumes"))) sectors.bad[entry.path().string()] = {0, UINT64_MAX};
  LocalStoreOptions options;
  options.directories = {filled.disk};
  const auto refused = LocalStore::open(options, sectors);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::io);
  CHECK(refused.error().message.find("nothing can be read") != std::string::npos);
  sectors.bad.clear();
  check_all(*open_on(sectors, filled.disk));
}

TEST_CASE("open: where no new index can be made, the old one stays, and nothing is left of the attempt", "[object][faults][index]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  const std::string data = filled.disk + "/index/data.mdb", before = read_file(data);
  BadSectors sectors;
  sectors.no_index = true;
  CheckOptions anew;
  anew.rebuild = true;
  const auto refused = check_disk(filled.disk, anew, {}, sectors);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::no_space);
  CHECK(read_file(data) == before);
  sectors.no_index = false;
  const auto report = check_disk(filled.disk, {}, {}, sectors);
  REQUIRE(report);
  CHECK_FALSE(report->rebuilt);  // it counts as before
  CHECK(report->healthy());
  REQUIRE(check_disk(filled.disk, anew, {}, sectors)->rebuilt);
  CHECK_FALSE(fs::exists(data + ".old"));
}

TEST_CASE("open: on a full disk an index that is of no use makes room for the new one, one that may be good does not", "[object][faults][index]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  BadSectors sectors;
  sectors.full = true;
  CheckOptions anew;
  anew.rebuild = true;
  CHECK(check_disk(filled.disk, anew, {}, sectors).error().code == ErrorCode::no_space);
  CHECK_FALSE(check_disk(filled.disk, {}, {}, sectors)->rebuilt);
  lose_power(filled.disk);
  check_all(*open_on(sectors, filled.disk));
  CHECK_FALSE(fs::exists(filled.disk + "/index/data.mdb.old"));
}

TEST_CASE("open: what an interrupted rebuild has left is cleared away, and the old index is judged again", "[object][crash][index]") {
  const TemporaryDirectory directory;
  const Filled filled = fill(directory);
  const std::string data = filled.disk + "/index/data.mdb";
  fs::rename(data, data + ".old");
  SECTION("a part of the new one") {
    write_file(data, noise(20'000, 1));
  }
  SECTION("not even that") {}
  SECTION("and the old one was of no use") {
    write_file(data + ".old", noise(20'000, 2));
  }
  check_all(*open_bare_store({filled.disk}));
  CHECK_FALSE(fs::exists(data + ".old"));
  CHECK(check_disk(filled.disk, {})->healthy());
}
