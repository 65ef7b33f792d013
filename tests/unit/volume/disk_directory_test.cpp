// disk.json: who a disk is, and which other disks its store has.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/json.hpp"
#include "support/forwarding_file_system.hpp"
#include "support/temporary_directory.hpp"
#include "volume/disk_directory.hpp"

using namespace tarn;
using namespace tarn::tests;
using namespace tarn::volume;

namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

SeenDisk disk_at(const std::string& directory) {
  return {base::Uuid::random(), 1000, "nid001", directory};
}

/// Refuses to list the volumes, or to write.
class RefusingFileSystem final : public ForwardingFileSystem {
 public:
  bool no_list = false, no_rename = false;
  Result<std::vector<std::string>> list(const std::string& directory) override {
    if (no_list && directory.ends_with("/volumes")) return fail(ErrorCode::io, "list " + directory + ": refused");
    return ForwardingFileSystem::list(directory);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (no_rename) return fail(ErrorCode::io, "rename " + to + ": refused");
    return ForwardingFileSystem::rename(from, to);
  }
};

}  // namespace

TEST_CASE("DiskSet: union and difference by id; what the first says about a disk counts", "[volume]") {
  const SeenDisk a = disk_at("/a"), b = disk_at("/b");
  SeenDisk moved = a;
  moved.directory = "/elsewhere";
  const DiskSet both = merged(DiskSet{a}, DiskSet{b});
  REQUIRE(both.size() == 2);
  CHECK(both[0].id < both[1].id);
  CHECK(merged(DiskSet{moved}, both).size() == 2);
  CHECK(without(merged(DiskSet{moved}, both), DiskSet{b}) == DiskSet{moved});
  CHECK(without(both, both).empty());
  CHECK(disk_set_from_json(disk_set_to_json(both)) == both);
  CHECK(disk_set_from_json({}) == DiskSet());
  CHECK_FALSE(disk_set_from_json(base::JsonArray{base::JsonObject{{"disk", "nonsense"}}}));
}

TEST_CASE("DiskDirectory: the store's disks are remembered, also when they change", "[volume]") {
  const TemporaryDirectory directory;
  auto& fs = base::posix_file_system();
  const auto store = base::Uuid::random();
  const DiskSet one{disk_at("/scratch/tarn-0")};
  const DiskSet two = merged(one, {disk_at("/scratch/not utf-8 \xff")});
  for (const DiskSet& set : {one, two}) {
    {
      auto opened = DiskDirectory::open(fs, directory.file("d"), 1000);
      REQUIRE(opened);
      REQUIRE((*opened)->set_store(store, set));
    }
    const auto again = DiskDirectory::open(fs, directory.file("d"), 0);
    INFO((again ? std::string() : again.error().message));
    REQUIRE(again);
    CHECK((*again)->identity().store_id == store);
    CHECK((*again)->identity().store_disks.size() == set.size());
    CHECK(without((*again)->identity().store_disks, set).empty());
  }
}

TEST_CASE("DiskDirectory: a disk.json without the store's disks opens; one that is damaged is refused with the remedy", "[volume]") {
  const TemporaryDirectory directory;
  auto& fs = base::posix_file_system();
  const std::string file = directory.file("d") + "/disk.json";
  const auto open = [&] { return DiskDirectory::open(fs, directory.file("d"), 1000); };
  REQUIRE(open());
  const std::string old = read(file);
  CHECK(old.find("disks") == std::string::npos);
  CHECK((*open())->identity().store_disks.empty());
  write(file, old.substr(0, old.rfind('}')) + R"(, "disks": [{"disk": 7}]})");  // only the list is damaged
  REQUIRE(open());
  CHECK((*open())->identity().store_disks.empty());
  for (const std::string& text : {old.substr(0, old.size() / 2), std::string("[]"), std::string()}) {
    write(file, text);
    const auto opened = open();
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == ErrorCode::corrupt);
    CHECK(opened.error().message.find(file) != std::string::npos);
    CHECK(opened.error().message.find("write it anew") != std::string::npos);
  }
}

TEST_CASE("DiskDirectory: volumes without their disk.json are refused, they are not given to a new disk", "[volume]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("d");
  const auto open = [&] { return DiskDirectory::open(base::posix_file_system(), path, 1000); };
  REQUIRE(open());
  const std::string identity = read(path + "/disk.json");
  std::filesystem::remove(path + "/disk.json");
  REQUIRE(open());  // nothing is lost
  write(path + "/volumes/00000001.tar", "bytes");
  std::filesystem::remove(path + "/disk.json");
  const auto opened = open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::corrupt);
  CHECK(opened.error().message.find("disk.json is missing") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(path + "/disk.json"));
  write(path + "/disk.json", identity);
  CHECK(open());
}

TEST_CASE("DiskDirectory: where it cannot be seen whether there are volumes, no new disk is made of them", "[volume][faults]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("d");
  RefusingFileSystem fs;
  REQUIRE(DiskDirectory::open(fs, path, 1000));
  write(path + "/volumes/00000001.tar", "bytes");
  std::filesystem::remove(path + "/disk.json");
  fs.no_list = true;
  const auto opened = DiskDirectory::open(fs, path, 1000);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::io);
  CHECK_FALSE(std::filesystem::exists(path + "/disk.json"));
}

TEST_CASE("DiskDirectory.set_store: what could not be written is not taken for written when it is asked again", "[volume][faults]") {
  const TemporaryDirectory directory;
  RefusingFileSystem fs;
  const auto store = base::Uuid::random();
  {
    const auto opened = DiskDirectory::open(fs, directory.file("d"), 1000);
    REQUIRE(opened);
    fs.no_rename = true;
    CHECK_FALSE((*opened)->set_store(store));
    CHECK((*opened)->identity().store_id.is_nil());
    CHECK_FALSE((*opened)->set_store(store));
    fs.no_rename = false;
    REQUIRE((*opened)->set_store(store));
  }
  CHECK((*DiskDirectory::open(fs, directory.file("d"), 1000))->identity().store_id == store);
}

TEST_CASE("DiskDirectory: after a loss of power nothing is trusted until the disk has been recovered, however often it is opened",
          "[volume][faults]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("d");
  const auto open = [&] { return DiskDirectory::open(base::posix_file_system(), path, 1000).value(); };
  REQUIRE(open()->set_trustworthy(true));
  CHECK(open()->trustworthy());  // killed, but under the same boot
  std::string lock = read(path + "/lock");
  const std::size_t boot = lock.find("\"boot\": \"") + 9;
  write(path + "/lock", lock.replace(boot, 4, "????"));
  CHECK_FALSE(open()->trustworthy());
  CHECK_FALSE(open()->trustworthy());
  {
    const auto opened = open();
    CHECK_FALSE(opened->trustworthy());
    REQUIRE(opened->set_trustworthy(true));
  }
  CHECK(open()->trustworthy());
}
