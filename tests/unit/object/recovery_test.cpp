#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>

#include "object/check.hpp"
#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

/// Runs work in a process that ends without closing anything, as if killed. Before any thread of this one is started.
void in_killed_process(const std::function<void()>& work) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
}

/// What a process does that is then killed: Catch's assertions have no effect there, exit codes do.
void must(bool good) {
  if (!good) ::_exit(1);
}

/// Some of everything: two buckets, versions, removals, a solo volume that was replaced.
void fill(LocalStore& store) {
  for (const char* bucket : {"bucket", "other", "removed"}) must(store.create_bucket(bucket, 77).has_value());
  const auto put = [&](const std::string& key, const std::string& body) {
    must(store.put(0, {"bucket", key}, bytes_of(body), {"text/x", {{"m", "v"}}}).has_value());
  };
  for (int i = 0; i < 200; ++i) put("many/" + std::to_string(i), noise(static_cast<std::size_t>(i * 10), 5));
  put("over", "old");
  put("over", "new");
  put("gone", "gone");
  put("back", "first");
  put("large", noise(1'500'000, 6));
  put("shrunk", noise(1'500'000, 7));
  put("shrunk", "small now");
  put("grown", "small");
  put("grown", noise(1'500'000, 8));
  must(store.remove(0, {"bucket", "gone"}).has_value());
  must(store.remove(0, {"bucket", "back"}).has_value());
  put("back", "second");
  must(store.remove_bucket("removed").has_value());
}

void check_filled(const std::string& disk) {
  const auto store = open_bare_store({disk});
  const auto buckets = store->buckets();
  REQUIRE(buckets.size() == 2);
  CHECK(buckets[0].name == "bucket");
  CHECK(buckets[1].name == "other");
  CHECK(buckets[1].created_ns == 77);
  for (int i = 0; i < 200; ++i) CHECK(get(*store, "many/" + std::to_string(i)) == noise(static_cast<std::size_t>(i * 10), 5));
  CHECK(get(*store, "over") == "new");
  CHECK(get(*store, "gone") == "error: not_found");
  CHECK(get(*store, "back") == "second");
  CHECK(get(*store, "large") == noise(1'500'000, 6));
  CHECK(get(*store, "shrunk") == "small now");
  CHECK(get(*store, "grown") == noise(1'500'000, 8));
  const auto found = store->find(0, {"bucket", "over"});
  REQUIRE(found);
  CHECK(found->info.content_type == "text/x");
  CHECK(found->info.user_metadata.at("m") == "v");
  CHECK(store->disks().front().objects == 205);
  CHECK(store->disks().front().trouble.empty());
  REQUIRE(store->flush());
  CHECK(solo_volumes(disk) == 2);  // large, grown; those of `shrunk` and other leftovers are removed
}

void replace_in_file(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_file(path);
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  write_file(path, text.replace(at, from.size(), to));
}

}  // namespace

TEST_CASE("open: after kill -9, at once and after the index is lost, everything acknowledged is there", "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  const bool commit_first = GENERATE(false, true);
  in_killed_process([&] {
    LocalStoreOptions options;
    options.directories = {disk};
    auto store = LocalStore::open(options);
    must(store.has_value());
    fill(**store);
    if (commit_first) must((*store)->flush().has_value());
  });
  SECTION("as it was left") {}
  SECTION("index lost") {
    fs::remove_all(disk + "/index");
  }
  SECTION("index lost, an unfinished solo volume left over") {
    fs::remove_all(disk + "/index");
    write_file(disk + "/volumes/00000099.tar.tmp", "x");
  }
  check_filled(disk);
  check_filled(disk);
}

TEST_CASE("open: after a loss of power the index is made anew, and members that were not written whole do not count", "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  std::uint64_t over = 0;
  {
    LocalStoreOptions options;
    options.directories = {disk};
    auto store = LocalStore::open(options);
    REQUIRE(store);
    fill(**store);
    over = (*store)->find(0, {"bucket", "over"})->extents.front().offset;
  }
  // As the machine's next start would find it: another boot, not closed.
  replace_in_file(disk + "/lock", "\"clean\":", "\"was\"  :");
  replace_in_file(disk + "/lock", "\"boot\":", "\"befo\":");
  SECTION("everything was written: everything is there") {
    check_filled(disk);
  }
  SECTION("garbage in the index is not looked at") {
    write_file(disk + "/index/data.mdb", noise(100'000, 1));
    check_filled(disk);
  }
  SECTION("the newest version lacks its data: the one before counts") {
    std::fstream file(volume_path(disk, 1), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(over));
    file.put('\0');
    file.close();
    const auto store = open_bare_store({disk});
    CHECK(get(*store, "over") == "old");
    CHECK(!store->disks().front().trouble.empty());
  }
  SECTION("the end of the volume never reached the disk: it is cut off, and that is said") {
    const std::string volume = volume_path(disk, 1);
    const auto size = fs::file_size(volume);
    const std::string end = GENERATE(std::string(10'000, '\0'), noise(10'000, 1));
    write_file(volume, read_file(volume) + end);
    CHECK(open_bare_store({disk})->disks().front().trouble.find("bytes from " + std::to_string(size) + " on (10000) are cut off") !=
          std::string::npos);
    CHECK(fs::file_size(volume) == size);
    check_filled(disk);
    const auto report = check_disk(disk, {});
    REQUIRE(report);
    CHECK(report->healthy());
  }
}

TEST_CASE("open: after a loss of power a large object with a wrong byte is set aside, and no later open removes what is left of it",
          "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a"), body = noise(1'500'000, 1);
  std::uint64_t volume = 0, offset = 0;
  {
    const auto store = open_store({disk});
    put(*store, "large", body);
    const auto found = store->find(0, {"bucket", "large"});
    volume = found->extents.front().volume;
    offset = found->extents.front().offset;
  }
  replace_in_file(disk + "/lock", "\"clean\":", "\"was\"  :");
  replace_in_file(disk + "/lock", "\"boot\":", "\"befo\":");
  {
    std::fstream file(volume_path(disk, volume), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset + 700'000));
    file.put(static_cast<char>(body[700'000] ^ 1));
  }
  for (int open = 0; open < 3; ++open) {
    const auto store = open_bare_store({disk});
    CHECK(store->find(0, {"bucket", "large"}).error().code == ErrorCode::not_found);
    if (open == 0) CHECK(store->disks().front().trouble.find("quarantine/volume-") != std::string::npos);
  }
  std::ifstream file(disk + "/quarantine/volume-0000000" + std::to_string(volume) + ".tar", std::ios::binary);
  std::string kept(std::istreambuf_iterator<char>(file), {});
  REQUIRE(kept.size() > offset + body.size());
  CHECK(kept.compare(offset, 700'000, body, 0, 700'000) == 0);
}

TEST_CASE("open: after a loss of power a sealed volume whose last headers are damaged is kept, and that is said", "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  std::uint64_t offset = 0;
  {
    LocalStoreOptions options;
    options.directories = {disk};
    options.volume_bytes_max = 100'000;
    auto store = LocalStore::open(options);
    REQUIRE(store);
    REQUIRE((*store)->create_bucket("bucket", 1));
    for (int i = 0; offset == 0; ++i) {
      const std::string key = std::to_string(i);
      put(**store, key, noise(20'000, 1));
      if ((*store)->find(0, {"bucket", key})->extents.front().volume != 1)
        offset = (*store)->find(0, {"bucket", std::to_string(i - 1)})->extents.front().offset;  // the last of volume 1
    }
  }
  const std::string volume = volume_path(disk, 1);
  flip_byte(volume, offset - 700);
  const std::string before = read_file(volume);
  replace_in_file(disk + "/lock", "\"clean\":", "\"was\"  :");
  replace_in_file(disk + "/lock", "\"boot\":", "\"befo\":");
  for (int open = 0; open < 2; ++open) {
    const auto store = open_bare_store({disk});
    CHECK((store->disks().front().trouble.find(volume_path(fs::canonical(disk).string(), 1) + ": bytes from ") != std::string::npos) == (open == 0));
    put(*store, "x" + std::to_string(open), "y");
  }
  CHECK((read_file(volume) == before));
}

TEST_CASE("open: after a loss of power a large object whose header never got to the disk does not stay among the volumes", "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  {
    const auto store = open_store({disk});
    put(*store, "large", noise(1'500'000, 1));
    put(*store, "small", "small");
  }
  std::string whole = read_file(volume_path(disk, 2));
  if (whole.size() < 1'500'000) whole = read_file(volume_path(disk, 1));
  REQUIRE(whole.size() > 1'500'000);
  const std::string lost = volume_path(disk, 9), kept = disk + "/quarantine/volume-00000009";
  const auto open = [&] {
    replace_in_file(disk + "/lock", "\"clean\":", "\"was\"  :");
    replace_in_file(disk + "/lock", "\"boot\":", "\"befo\":");
    const auto store = open_bare_store({disk});
    CHECK(get(*store, "small") == "small");
    return store->disks().front().trouble;
  };
  std::string bytes = whole;
  SECTION("zeros are in its place") {
    bytes.replace(0, 4096, 4096, '\0');
  }
  SECTION("garbage is in its place") {
    bytes.replace(0, 4096, noise(4096, 5));
  }
  SECTION("nor the table of its blocks") {
    bytes = std::string(4096, '\0') + noise(1'200'000, 2) + std::string(300'000, '\0');
  }
  write_file(lost, bytes);
  CHECK(open().find(kept + ".tar: remove it") != std::string::npos);
  CHECK_FALSE(fs::exists(lost));
  CHECK((read_file(kept + ".tar") == bytes));
  CHECK(open().empty());
  CHECK(check_disk(disk, {})->healthy());
  write_file(lost, bytes);  // the number was used again
  CHECK(open().find(kept + "-2.tar: remove it") != std::string::npos);
  CHECK((read_file(kept + ".tar") == bytes));
  CHECK((read_file(kept + "-2.tar") == bytes));
  write_file(lost, std::string(1'500'000, '\0'));
  CHECK(open().find("nothing but zeros, and is removed") != std::string::npos);
  CHECK_FALSE(fs::exists(lost));
  CHECK(open().empty());
}

TEST_CASE("open: after a loss of power an object that was assembled from a part whose header or end never got to the disk is not whole",
          "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  std::vector<StoredExtent> extents;
  {
    const auto store = open_store({disk});
    put(*store, "log", noise(1'500'000, 1));
    REQUIRE(store->append(0, {"bucket", "log"}, bytes_of(noise(1'100'000, 2))));
    extents = store->find(0, {"bucket", "log"})->extents;
    REQUIRE(extents.size() == 2);
  }
  const std::size_t lost = GENERATE(0, 1);
  const std::string volume = volume_path(disk, extents[lost].volume);
  if (GENERATE(false, true))
    write_file(volume, std::string(4096, '\0') + read_file(volume).substr(4096));
  else
    fs::resize_file(volume, extents[lost].offset + extents[lost].length_bytes);
  replace_in_file(disk + "/lock", "\"clean\":", "\"was\"  :");
  replace_in_file(disk + "/lock", "\"boot\":", "\"befo\":");
  for (int open = 0; open < 2; ++open) {
    const auto store = open_bare_store({disk});
    CHECK((get(*store, "log") == (lost == 0 ? "error: not_found" : noise(1'500'000, 1))));
    CHECK(store->disks().front().trouble.empty() == (open == 1));
  }
  CHECK(check_disk(disk, {})->healthy());
}

TEST_CASE("open: after a loss of power a tar of somebody else stays where it is, whatever its name", "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a"), other = directory.file("b");
  { const auto store = open_store({disk}); }
  {
    const auto store = open_store({other});
    put(*store, "x", "y");
  }
  const std::string theirs = read_file(volume_path(other, 1));
  write_file(volume_path(disk, 9), theirs);
  replace_in_file(disk + "/lock", "\"clean\":", "\"was\"  :");
  replace_in_file(disk + "/lock", "\"boot\":", "\"befo\":");
  CHECK(open_bare_store({disk})->disks().front().trouble.find("left alone") != std::string::npos);
  CHECK((read_file(volume_path(disk, 9)) == theirs));
}

TEST_CASE("open: after a clean close another boot is nothing to worry about", "[object][crash]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  { const auto store = open_store({disk}); }
  replace_in_file(disk + "/lock", "\"boot\":", "\"befo\":");
  CHECK(!check_disk(disk, {})->rebuilt);
}

TEST_CASE("open: writing goes on in the volume that was open, and numbers are not used twice", "[object]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  std::uint64_t sequence = 0;
  for (int round = 0; round < 4; ++round) {
    const auto store = open_store({disk});
    put(*store, std::to_string(round), "x");
    const auto found = store->find(0, {"bucket", std::to_string(round)});
    REQUIRE(found);
    CHECK(found->sequence > sequence);
    sequence = found->sequence;
    CHECK(found->extents.front().volume == 1);
  }
}

TEST_CASE("open: what is not ours in volumes/ stays untouched", "[object]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  { const auto store = open_store({disk}); }
  const std::string foreign = noise(5000, 3);
  write_file(disk + "/volumes/notes.txt", foreign);
  write_file(volume_path(disk, 7), foreign);
  for (int round = 0; round < 2; ++round) {
    const auto store = open_store({disk});
    CHECK(!store->disks().front().trouble.empty());
    put(*store, "x", "y");
    CHECK(get(*store, "x") == "y");
  }
  CHECK(read_file(disk + "/volumes/notes.txt") == foreign);
  CHECK(read_file(volume_path(disk, 7)) == foreign);
}

TEST_CASE("open: a disk that joins later learns the buckets", "[object]") {
  const TemporaryDirectory directory;
  { const auto store = open_store({directory.file("a")}); }
  {
    const auto store = open_bare_store({directory.file("a"), directory.file("b")});
    put(*store, "x", "y", 1);
  }
  const auto store = open_bare_store({directory.file("b")});
  CHECK(get(*store, "x") == "y");
}

TEST_CASE("open: a copy of a disk beside the original is refused", "[object]") {
  const TemporaryDirectory directory;
  { const auto store = open_store({directory.file("a")}); }
  fs::copy(directory.file("a"), directory.file("b"), fs::copy_options::recursive);
  const auto both = LocalStore::open({{directory.file("a"), directory.file("b")}, 0});
  REQUIRE(!both);
  CHECK(both.error().code == ErrorCode::invalid);
  CHECK(LocalStore::open({{directory.file("b")}, 0}));
}

TEST_CASE("open: no permission is said to be that", "[object]") {
  if (::geteuid() == 0) return;  // root may do everything
  const TemporaryDirectory directory;
  fs::permissions(directory.path(), fs::perms::owner_read | fs::perms::owner_exec);
  const auto store = LocalStore::open({{directory.file("a")}, 0});
  fs::permissions(directory.path(), fs::perms::owner_all);
  REQUIRE(!store);
  CHECK(store.error().code == ErrorCode::denied);
}
