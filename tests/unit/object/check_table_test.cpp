// A check with a table of the index finds what one finds that looks each object up.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "object/check.hpp"
#include "object/check_table.hpp"
#include "store_fixture.hpp"
#include "volume/disk.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

std::string text_of(const CheckReport& report) {
  std::string text;
  for (const std::uint64_t number : {report.volumes, report.volume_bytes, report.members, report.objects, report.stale_bytes})
    text += std::to_string(number) + " ";
  text += report.rebuilt ? "rebuilt\n" : "\n";
  for (const auto& one : report.damaged) {
    text += one.bucket + "/" + one.key + ": " + one.reason + (one.readable ? " readable" : "") + (one.index_only ? " index only" : "");
    text += " " + std::to_string(one.sequence) + "\n";
  }
  for (const auto& one : report.troubles) text += one + "\n";
  return text;
}

struct Disk {
  explicit Disk(std::size_t objects) {
    const auto store = open_store({path});
    for (std::size_t i = 0; i < objects; ++i)
      put(*store, key(i), noise(i % 700, i), 0, i % 3 == 0 ? PutOptions{"text/plain", {{"m", "v"}}} : PutOptions());
    if (objects > 0) put_others(*store);
    REQUIRE(store->close());
    fs::copy(path, pristine, fs::copy_options::recursive);
  }
  static void put_others(LocalStore& store) {
    put(store, key(1), noise(300, 99));  // leaves an old version
    REQUIRE(store.remove(0, {"bucket", key(2)}));
    put(store, std::string(1000, 'k'), "of a long key");
    put(store, std::string(1000, 'k') + "2", "of another");
    put(store, "large", noise(1'100'000, 5));
  }
  static std::string key(std::size_t i) { return "many/" + std::to_string(i * 7919 % 10'007); }
  void restore() const {
    fs::remove_all(path);
    fs::copy(pristine, path, fs::copy_options::recursive);
  }
  /// The same as it was for both.
  template <class Change>
  CheckReport check_both(const Change& change) const {
    restore();
    change();
    const auto with_table = check_disk(path, {});
    restore();
    change();
    CheckOptions options;
    options.table_bytes_max = 0;
    const auto without = check_disk(path, options);
    REQUIRE(with_table);
    REQUIRE(without);
    CHECK(text_of(*with_table) == text_of(*without));
    return *with_table;
  }

  const TemporaryDirectory directory;
  const std::string path = directory.file("a"), pristine = directory.file("pristine"), index = path + "/index/data.mdb";
};

/// LMDB's pages of one kind: 1 branches, 2 leaves.
std::vector<std::size_t> pages_of(const std::string& file, std::uint16_t kind) {
  constexpr std::size_t kPage = 4096;
  std::vector<std::size_t> pages;
  for (std::size_t at = 2 * kPage; at + kPage <= file.size(); at += kPage) {
    std::uint16_t flags = 0;
    std::memcpy(&flags, file.data() + at + 10, 2);
    if ((flags & 0xf) == kind) pages.push_back(at);
  }
  return pages;
}

std::size_t table_size(const std::string& path, std::uint64_t bytes_max) {
  const auto disk = volume::Disk::open(base::posix_file_system(), path, {0, false});
  REQUIRE(disk);
  const auto table = CheckTable::make(**disk, bytes_max);
  REQUIRE(table);
  return *table ? (*table)->size() : 0;
}

}  // namespace

TEST_CASE("check_disk: the table of the index holds all objects, or there is none", "[object][check]") {
  const Disk disk(300);
  CHECK(disk.check_both([] {}).healthy());
  CHECK(table_size(disk.path, 1 << 20) == 302);
  CHECK(table_size(disk.path, 302 * 16) == 302);
  CHECK(table_size(disk.path, 302 * 16 - 1) == 0);
  const Disk empty(0);
  CHECK(empty.check_both([] {}).healthy());
}

TEST_CASE("check_disk: with a table of the index the same flipped bytes of a volume are found as without", "[object][check]") {
  const Disk disk(12);
  const std::string volume = volume_path(disk.path, 1);
  const auto size = fs::file_size(volume);
  for (std::uint64_t at = 0; at < size; at += 131) {
    INFO("byte " << at);
    CHECK(!disk.check_both([&] { flip_byte(volume, at, 0x01); }).healthy());
  }
}

TEST_CASE("check_disk: with a table of the index the same damaged entries of the index are found as without", "[object][check]") {
  const Disk disk(20);
  const std::string file = read_file(disk.pristine + "/index/data.mdb");
  const std::string name("bucket\0many/", 12);
  std::size_t unhealthy = 0, places = 0;
  for (std::size_t at = file.find(name); at != std::string::npos; at = file.find(name, at + 1)) {
    for (std::size_t byte = 7 + places % 5; byte < 70; byte += 11, ++places) {
      INFO("byte " << at + byte);
      const auto report = disk.check_both([&] { flip_byte(disk.index, at + byte, 0x01); });
      unhealthy += report.healthy() && !report.rebuilt ? 0 : 1;
    }
  }
  CHECK(unhealthy > places / 4);  // the others lie in pages that are not used any more
}

TEST_CASE("check_disk: entries that a walk finds and a look-up does not are found with a table as well", "[object][check]") {
  const Disk disk(2000);
  const std::string file = read_file(disk.pristine + "/index/data.mdb");
  const std::string name("bucket\0many/", 12);
  const auto branches = pages_of(file, 1);
  const auto report = disk.check_both([&] {
    for (const std::size_t page : branches)
      for (std::size_t at = file.find(name, page); at < page + 4096; at = file.find(name, at + 1)) flip_byte(disk.index, at + 7, 0x10);
  });
  CHECK(!report.healthy());
  CHECK(report.damaged.size() > 1000);
}
