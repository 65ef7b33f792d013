// Directories that somebody else has had his hands in: parts are missing, are not ours, or may not be touched. One clear sentence, and
// nothing is destroyed: with the part back in its place everything is there.
#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "object/check.hpp"
#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr uid_t kNobody = 65534;

/// Of a store, with objects in two volumes.
std::string make_disk(const TemporaryDirectory& directory) {
  const std::string disk = directory.file("a");
  const auto store = open_store({disk});
  REQUIRE(store->adopt(*base::Uuid::parse("01234567-89ab-4def-8123-456789abcdef")));
  for (int i = 0; i < 20; ++i) put(*store, std::to_string(i), "body " + std::to_string(i));
  put(*store, "large", noise(1'500'000, 1));
  return disk;
}

void check_whole(const std::string& disk) {
  const auto store = open_bare_store({disk});
  for (int i = 0; i < 20; ++i) CHECK(get(*store, std::to_string(i)) == "body " + std::to_string(i));
  CHECK((get(*store, "large") == noise(1'500'000, 1)));
  CHECK(store->disks().front().trouble.empty());
}

Error refused(const std::string& disk) {
  const auto store = LocalStore::open({{disk}, 0});
  REQUIRE_FALSE(store);
  return store.error();
}

/// Path below the disk -> content, without what every open writes.
std::map<std::string, std::string> tree(const std::string& disk) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(disk)) {
    const std::string path = fs::relative(entry.path(), disk).string();
    if (path != "lock" && path != "index/lock.mdb") found[path] = entry.is_directory() ? "/" : read_file(entry.path().string());
  }
  return found;
}

/// Runs it as a user who may do no more than the permissions say. @return what it says.
std::string as_nobody(const std::function<std::string()>& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    std::string said = "cannot become nobody";
    if (::geteuid() != 0 || (::setgid(kNobody) == 0 && ::setuid(kNobody) == 0)) said = work();
    (void)!::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char piece[512];
  for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof(piece))) > 0;) said.append(piece, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  return said;
}

/// Everybody may come by, and the disk is nobody's.
void give_away(const TemporaryDirectory& directory, const std::string& disk) {
  fs::permissions(directory.path(), fs::perms(0755));
  if (::geteuid() != 0) return;
  REQUIRE(::lchown(disk.c_str(), kNobody, kNobody) == 0);
  for (const auto& entry : fs::recursive_directory_iterator(disk)) REQUIRE(::lchown(entry.path().c_str(), kNobody, kNobody) == 0);
}

/// "code: message", or what could be read.
std::string try_open(const std::string& disk) {
  const auto store = LocalStore::open({{disk}, 0});
  if (!store) return std::string(to_string(store.error().code)) + ": " + store.error().message;
  return get(**store, "7");
}

}  // namespace

TEST_CASE("open: without its disk.json a disk is refused, and not made anew, whatever else is left of it", "[object][bad-input]") {
  const TemporaryDirectory directory;
  const std::string disk = make_disk(directory);
  fs::rename(disk + "/disk.json", directory.file("kept"));
  std::string gone;
  SECTION("volumes and index") {}
  SECTION("volumes") {
    gone = "index";
  }
  SECTION("the index") {
    gone = "volumes";
  }
  if (!gone.empty()) fs::rename(disk + "/" + gone, directory.file(gone));
  const auto before = tree(disk);
  const Error error = refused(disk);
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(error.message.find("disk.json is missing, but there") != std::string::npos);
  CHECK((tree(disk) == before));
  fs::rename(directory.file("kept"), disk + "/disk.json");
  if (!gone.empty()) fs::rename(directory.file(gone), disk + "/" + gone);
  check_whole(disk);
}

TEST_CASE("open: a disk without its volumes/ is refused, with its index and without", "[object][bad-input]") {
  const TemporaryDirectory directory;
  const std::string disk = make_disk(directory);
  const bool index_too = GENERATE(false, true);
  fs::rename(disk + "/volumes", directory.file("volumes"));
  if (index_too) fs::remove_all(disk + "/index");
  const auto before = tree(disk);
  const Error error = refused(disk);
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(error.message.find(disk.substr(disk.rfind("tarn-test")) + "/volumes is missing") != std::string::npos);
  CHECK(error.message.find("put it back") != std::string::npos);
  CHECK_FALSE(check_disk(disk, {}));
  CHECK((tree(disk) == before));
  SECTION("it comes back") {
    fs::rename(directory.file("volumes"), disk + "/volumes");
    check_whole(disk);
  }
  SECTION("it is gone for good") {
    fs::create_directory(disk + "/volumes");
    const auto store = open_bare_store({disk});
    CHECK(get(*store, "7") == (index_too ? "error: bucket_not_found" : "error: corrupt"));
    CHECK(store->disks().front().trouble.empty() == index_too);
  }
}

TEST_CASE("open: a new disk whose volumes/ was not made before the process ended is completed", "[object][bad-input][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  { const auto store = open_bare_store({disk}); }
  fs::remove_all(disk + "/volumes");
  fs::remove_all(disk + "/index");
  put(*open_store({disk}), "x", "y");
}

TEST_CASE("open: what a disk can do without is made anew, a volume that is missing is named", "[object][bad-input]") {
  const TemporaryDirectory directory;
  const std::string disk = make_disk(directory);
  SECTION("lock") {
    fs::remove(disk + "/lock");
    check_whole(disk);
  }
  SECTION("index") {
    fs::remove_all(disk + "/index");
    check_whole(disk);
  }
  SECTION("a volume") {
    const std::uint64_t number = open_bare_store({disk})->find(0, {"bucket", "large"})->extents.front().volume;
    fs::rename(volume_path(disk, number), directory.file("kept"));
    for (int round = 0; round < 2; ++round) {
      const auto store = open_bare_store({disk});
      CHECK(store->disks().front().trouble.find(".tar: is missing; 1.4 MiB of objects cannot be read") != std::string::npos);
      CHECK(get(*store, "large") == "error: corrupt");
      CHECK(get(*store, "7") == "body 7");
    }
    fs::rename(directory.file("kept"), volume_path(disk, number));
    check_whole(disk);
  }
}

TEST_CASE("open: what is not ours stays where it is, in each directory", "[object][bad-input]") {
  const TemporaryDirectory directory;
  const std::string disk = make_disk(directory);
  fs::create_directory(disk + "/quarantine");
  std::vector<std::string> foreign;
  for (const char* const folder : {"/", "/volumes/", "/index/", "/quarantine/"}) {
    for (const char* const name : {"notes.txt", "1.tar", "00000001.tar.bak"}) foreign.push_back(disk + folder + name);
    fs::create_directory(disk + folder + "more");
    foreign.push_back(disk + folder + "more/notes.txt");
  }
  for (const char* const name : {"00000050.tar", "00000060.tar.tmp"}) {
    fs::create_directory(disk + "/volumes/" + name);
    foreign.push_back(disk + "/volumes/" + name + "/notes.txt");
  }
  for (const auto& path : foreign) write_file(path, "not ours " + path);
  const bool rebuild = GENERATE(false, true);
  if (rebuild) fs::remove(disk + "/index/data.mdb");
  {
    const auto store = open_bare_store({disk});
    for (int i = 0; i < 20; ++i) CHECK(get(*store, std::to_string(i)) == "body " + std::to_string(i));
    CHECK(store->disks().front().trouble.find("00000050.tar: is a directory, not a volume; left alone") != std::string::npos);
    put(*store, "new", "new");
  }
  for (const auto& path : foreign) CHECK(read_file(path) == "not ours " + path);
}

TEST_CASE("open: what may not be read or written is named, and nothing is changed", "[object][bad-input]") {
  const TemporaryDirectory directory;
  const std::string disk = make_disk(directory);
  give_away(directory, disk);
  const auto [name, mode] = GENERATE(table<std::string, unsigned>({{"/disk.json", 0},
                                                                   {"/lock", 0400},
                                                                   {"/volumes", 0},
                                                                   {"/volumes", 0444},
                                                                   {"/volumes/00000001.tar", 0},
                                                                   {"/volumes/00000001.tar", 0444},
                                                                   {"/index", 0},
                                                                   {"/index", 0444},
                                                                   {"/index/data.mdb", 0},
                                                                   {"/index/data.mdb", 0444},
                                                                   {"/", 0}}));
  const auto before = tree(disk);
  const auto permissions = fs::status(disk + name).permissions();
  fs::permissions(disk + name, fs::perms(mode));
  const std::string said = as_nobody([&] { return try_open(disk); });
  fs::permissions(disk + name, permissions);
  INFO(name << " " << mode << ": " << said);
  CHECK(said.substr(0, 8) == "denied: ");
  CHECK(said.find(name == "/" ? disk : name == "/index/data.mdb" ? disk + "/index" : disk + name) != std::string::npos);
  CHECK((tree(disk) == before));
  CHECK(as_nobody([&] { return try_open(disk); }) == "body 7");
}

TEST_CASE("open: a new disk where nothing may be made is refused", "[object][bad-input]") {
  const TemporaryDirectory directory;
  fs::permissions(directory.path(), fs::perms(0555));
  const std::string there = directory.file("there");
  const std::string said = as_nobody([&] { return try_open(there); });
  CHECK(said.find("denied: ") == 0);
  CHECK(said.find(there) != std::string::npos);
  fs::permissions(directory.path(), fs::perms(0755));
  fs::create_directory(there);
  fs::permissions(there, fs::perms(0555));
  const std::string again = as_nobody([&] { return try_open(there); });
  CHECK(again.find("denied: ") == 0);
  CHECK(again.find(there) != std::string::npos);
  CHECK(fs::is_empty(there));
}
