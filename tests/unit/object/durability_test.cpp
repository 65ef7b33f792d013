// Buckets with durability `sync`.
#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store_fixture.hpp"
#include "support/forwarding_file_system.hpp"
#include "volume/disk.hpp"
#include "volume/disk_directory.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

Durability durability_of(const LocalStore& store, const std::string& bucket) {
  for (const auto& info : store.buckets())
    if (info.name == bucket) return info.options.durability;
  FAIL("no bucket " << bucket);
  return Durability::none;
}

/// Counts syncs of volumes and of their directory, lets them fail, and knows what was removed before it could be.
class SyncingFileSystem final : public ForwardingFileSystem {
 public:
  std::atomic<int> volume_syncs{0}, directory_syncs{0};
  std::atomic<bool> broken{false};     ///< syncs fail
  std::atomic<bool> no_files{false};   ///< no directory can be opened to be synced
  std::atomic<int> ends_after{-1};     ///< the process ends, as if killed, instead of the sync of a volume after so many
  std::atomic<int> waits_for{0};       ///< a sync of a volume does not end before so many members were written
  std::atomic<int> written{0};         ///< members
  std::atomic<bool> too_early{false};  ///< a volume was removed while another was not synced
  std::atomic<bool> watch_removals{false};

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = ForwardingFileSystem::open(path, mode, permissions);
    if (!file || path.find("/volumes/") == std::string::npos) return file;
    return std::make_unique<SyncingFile>(*this, std::move(*file));
  }
  Result<void> sync_directory(const std::string& directory) override {
    if (directory.find("/volumes") == std::string::npos) return {};
    ++directory_syncs;
    if (no_files) return fail(ErrorCode::busy, "open directory " + directory + ": Too many open files");
    if (broken) return fail(ErrorCode::io, "fsync " + directory + ": refused");
    return {};
  }
  Result<void> remove(const std::string& path) override {
    if (watch_removals && path.find("/volumes/") != std::string::npos && (volume_syncs == 0 || directory_syncs == 0)) too_early = true;
    return ForwardingFileSystem::remove(path);
  }

 private:
  class SyncingFile final : public ForwardingFile {
   public:
    SyncingFile(SyncingFileSystem& fs, std::unique_ptr<base::File> real) : ForwardingFile(std::move(real)), fs_(fs) {}
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      auto done = ForwardingFile::write_at(offset, pieces);
      ++fs_.written;
      return done;
    }
    using ForwardingFile::write_at;
    Result<void> sync_data() override {
      if (fs_.ends_after >= 0 && fs_.ends_after-- == 0) ::_exit(0);
      while (fs_.written < fs_.waits_for) std::this_thread::yield();
      ++fs_.volume_syncs;
      if (fs_.broken) return fail(ErrorCode::io, "fdatasync " + path() + ": refused");
      return {};
    }

   private:
    SyncingFileSystem& fs_;
  };
};

std::unique_ptr<LocalStore> open_on(SyncingFileSystem& fs, const std::string& directory) {
  auto store = LocalStore::open({{directory}}, fs);
  INFO((store ? std::string() : store.error().message));
  REQUIRE(store);
  if (!(*store)->has_bucket("bucket")) REQUIRE((*store)->create_bucket("bucket", 1, {Durability::sync}));
  if (!(*store)->has_bucket("plain")) REQUIRE((*store)->create_bucket("plain", 1));
  return std::move(*store);
}

}  // namespace

TEST_CASE("LocalStore.create_bucket: the durability stays, over a reopening and a lost index", "[object][durability]") {
  const TemporaryDirectory directory;
  {
    const auto store = open_bare_store({directory.file("a")});
    REQUIRE(store->create_bucket("plain", 5));
    REQUIRE(store->create_bucket("safe", 6, {Durability::sync}));
    CHECK(durability_of(*store, "plain") == Durability::none);
    CHECK(durability_of(*store, "safe") == Durability::sync);
  }
  if (GENERATE(false, true)) std::filesystem::remove_all(directory.file("a") + "/index");
  const auto store = open_bare_store({directory.file("a")});
  CHECK(durability_of(*store, "plain") == Durability::none);
  CHECK(store->buckets() == std::vector<BucketInfo>{{"plain", 5, Durability::none}, {"safe", 6, Durability::sync}});
  REQUIRE(store->remove_bucket("safe"));
  REQUIRE(store->create_bucket("safe", 7));
  CHECK(durability_of(*store, "safe") == Durability::none);
}

TEST_CASE("LocalStore: a disk that does not know that a bucket is `sync` learns it from another", "[object][durability]") {
  const TemporaryDirectory directory;
  {
    const auto store = open_bare_store({directory.file("a")});
    REQUIRE(store->create_bucket("safe", 6, {Durability::sync}));
  }
  SECTION("a disk of the same rank") {
    {
      const auto other = open_bare_store({directory.file("b")});
      if (GENERATE(false, true)) REQUIRE(other->create_bucket("safe", 6));
    }
    CHECK(durability_of(*open_bare_store({directory.file("b"), directory.file("a")}), "safe") == Durability::sync);
  }
  SECTION("of another rank") {
    const auto other = open_bare_store({directory.file("b")});
    if (GENERATE(false, true)) REQUIRE(other->create_bucket("safe", 6));
    REQUIRE(other->adopt_bucket({"safe", 6, Durability::sync}));
    CHECK(durability_of(*other, "safe") == Durability::sync);
    REQUIRE(other->adopt_bucket({"safe", 6, Durability::none}));
    CHECK(durability_of(*other, "safe") == Durability::sync);
  }
  CHECK(durability_of(*open_bare_store({directory.file("b")}), "safe") == Durability::sync);
}

TEST_CASE("LocalStore: in a `sync` bucket each change waits for the disk, in another none does", "[object][durability]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  const auto store = open_on(fs, directory.file("a"));
  const std::string large = noise(1'200'000, 1);
  const auto syncs = [&](const auto& change) {
    const int before = fs.volume_syncs;
    change();
    return fs.volume_syncs - before;
  };
  const auto stream = [&](const char* bucket, const std::string& body) {
    auto writer = store->create(0, {bucket, "stream"}, {}, UINT64_MAX);
    REQUIRE(writer);
    REQUIRE((*writer)->write(bytes_of(body)));
    REQUIRE((*writer)->commit());
  };
  for (const std::string& body : {std::string("small"), large}) {
    CHECK(syncs([&] { REQUIRE(store->put(0, {"plain", "k"}, bytes_of(body), {})); }) == 0);
    CHECK(syncs([&] { stream("plain", body); }) == 0);
    CHECK(syncs([&] { REQUIRE(store->remove(0, {"plain", "k"})); }) == 0);
    CHECK(syncs([&] { put(*store, "k", body); }) >= 1);
    CHECK(syncs([&] { stream("bucket", body); }) >= 1);
    CHECK(syncs([&] { REQUIRE(store->remove(0, {"bucket", "k"})); }) >= 1);
  }
  CHECK(syncs([&] { REQUIRE(store->create_bucket("another", 1, {Durability::sync})); }) >= 1);
  const int directory_syncs = fs.directory_syncs;
  put(*store, "again", "in a volume whose name is on stable storage already");
  CHECK(fs.directory_syncs == directory_syncs);
}

TEST_CASE("LocalStore: writers of a `sync` bucket that wait at the same time share a sync", "[object][durability][threads]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  const auto store = open_on(fs, directory.file("a"));
  put(*store, "first", "x");
  constexpr int kWriters = 40, kLanes = 8;
  const int before = fs.volume_syncs;
  fs.waits_for = fs.written + kWriters;  // the first syncs end when all have written
  std::vector<std::thread> writers;
  std::atomic<int> done{0};
  for (int i = 0; i < kWriters; ++i)
    writers.emplace_back([&, i] { done += store->put(0, {"bucket", std::to_string(i)}, bytes_of("body"), {}) ? 1 : 0; });
  for (auto& writer : writers) writer.join();
  CHECK(done == kWriters);
  CHECK(fs.volume_syncs - before <= 2 * kLanes);
}

TEST_CASE("LocalStore: after a sync that failed nothing is acknowledged in a `sync` bucket until the disk is opened again",
          "[object][durability][faults]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  const std::string large = noise(1'200'000, 1), larger = noise(1'300'000, 2);
  const bool is_large = GENERATE(false, true);
  {
    const auto store = open_on(fs, directory.file("a"));
    put(*store, "k", large);
    put(*store, "other", "other");
    REQUIRE(store->disks().front().trouble.empty());
    fs.broken = true;
    const auto refused = store->put(0, {"bucket", "k"}, bytes_of(is_large ? larger : "new"), {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::io);
    CHECK(refused.error().message.find("refused") != std::string::npos);
    CHECK(store->disks().front().trouble.find("refused") != std::string::npos);
    fs.broken = false;  // what now works says nothing about what did not
    for (const char* key : {"k", "next"}) CHECK(store->put(0, {"bucket", key}, bytes_of("later"), {}).error().code == ErrorCode::io);
    CHECK(store->put(0, {"bucket", "k"}, bytes_of(large), {}).error().message.find("opened again") != std::string::npos);
    CHECK_FALSE(store->remove(0, {"bucket", "other"}));
    CHECK_FALSE(store->flush());
    CHECK(store->put(0, {"plain", "k"}, bytes_of("plain"), {}));
    CHECK(get(*store, "other") == "other");
    CHECK(store->list("bucket", {})->objects.size() == 2);
    CHECK(solo_volumes(directory.file("a")) == 1);  // the old version is kept: the new one may not be there after a loss of power
    CHECK_FALSE(store->close());
  }
  const auto store = open_on(fs, directory.file("a"));
  const std::string found = get(*store, "k");
  CHECK((found == large || found == (is_large ? larger : "new")));
  CHECK(store->disks().front().trouble.empty());
  put(*store, "k", "after");
  CHECK(get(*store, "k") == "after");
  REQUIRE(store->flush());
}

TEST_CASE("open: what a killed process has replaced in a `sync` bucket is kept until the new version is on stable storage",
          "[object][durability][crash]") {
  const TemporaryDirectory directory;
  const std::string old = noise(1'200'000, 1);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    SyncingFileSystem fs;
    auto store = LocalStore::open({{directory.file("a")}}, fs);
    if (!store || !(*store)->create_bucket("bucket", 1, {Durability::sync}) || !(*store)->put(0, {"bucket", "k"}, bytes_of(old), {})) ::_exit(1);
    fs.ends_after = 0;
    (void)(*store)->put(0, {"bucket", "k"}, bytes_of("new"), {});
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  REQUIRE(solo_volumes(directory.file("a")) == 1);
  SyncingFileSystem fs;
  fs.watch_removals = true;
  const auto store = open_on(fs, directory.file("a"));
  CHECK(get(*store, "k") == "new");
  REQUIRE(store->flush());
  CHECK(solo_volumes(directory.file("a")) == 0);
  CHECK_FALSE(fs.too_early);
}

TEST_CASE("LocalStore.flush: what it has covered goes when what replaces it is on stable storage, also in a bucket without `sync`",
          "[object][durability]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  const auto store = open_on(fs, directory.file("a"));
  const auto put_plain = [&](std::string_view text) { REQUIRE(store->put(0, {"plain", "k"}, bytes_of(text), {})); };
  put_plain(noise(1'200'000, 1));
  REQUIRE(store->flush());
  fs.volume_syncs = fs.directory_syncs = 0;
  fs.watch_removals = true;
  put_plain(noise(1'200'000, 2));
  REQUIRE(store->list("plain", {}));  // commits
  CHECK(solo_volumes(directory.file("a")) == 1);
  CHECK(fs.volume_syncs > 0);
  CHECK_FALSE(fs.too_early);

  put_plain(noise(1'200'000, 3));
  put_plain(noise(1'200'000, 4));
  REQUIRE(store->list("plain", {}));
  fs.volume_syncs = 0;
  put_plain("of what was never flushed nothing is promised");
  REQUIRE(store->list("plain", {}));
  CHECK(solo_volumes(directory.file("a")) == 0);
}

TEST_CASE("open: what a killed process has removed from a `sync` bucket without having said so is gone for the next one only when that is sure",
          "[object][durability][crash]") {
  const TemporaryDirectory directory;
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    SyncingFileSystem fs;
    auto store = LocalStore::open({{directory.file("a")}}, fs);
    if (!store || !(*store)->create_bucket("bucket", 1, {Durability::sync}) || !(*store)->put(0, {"bucket", "k"}, bytes_of("value"), {})) ::_exit(1);
    fs.ends_after = 0;
    (void)(*store)->remove(0, {"bucket", "k"});
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  SyncingFileSystem fs;
  auto store = LocalStore::open({{directory.file("a")}}, fs);
  REQUIRE(store);
  const int before = fs.volume_syncs;
  CHECK((*store)->remove(0, {"bucket", "k"}).error().code == ErrorCode::not_found);
  CHECK(fs.volume_syncs > before);
  CHECK((*store)->remove_bucket("bucket"));
}

TEST_CASE("LocalStore: a large object that a killed process had flushed goes only after a sync of what replaces it", "[object][durability][crash]") {
  const TemporaryDirectory directory;
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    auto store = LocalStore::open({{directory.file("a")}});
    if (!store || !(*store)->create_bucket("plain", 1) || !(*store)->put(0, {"plain", "k"}, bytes_of(noise(1'200'000, 1)), {})) ::_exit(1);
    ::_exit((*store)->flush() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  SyncingFileSystem fs;
  auto store = LocalStore::open({{directory.file("a")}}, fs);
  REQUIRE(store);
  fs.volume_syncs = 0;
  fs.directory_syncs = 0;
  fs.watch_removals = true;
  REQUIRE((*store)->put(0, {"plain", "k"}, bytes_of("new"), {}));
  while (solo_volumes(directory.file("a")) > 0) REQUIRE((*store)->list("plain", {}));  // each a commit of the index
  CHECK_FALSE(fs.too_early);
}

TEST_CASE("LocalStore.flush: also what a killed process has left in memory", "[object][durability][crash]") {
  const TemporaryDirectory directory;
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    LocalStoreOptions options;
    options.directories = {directory.file("a")};
    options.volume_bytes_max = 100'000;
    auto store = LocalStore::open(options);
    if (!store || !(*store)->create_bucket("bucket", 1)) ::_exit(1);
    for (int i = 0; i < 20; ++i)
      if (!(*store)->put(0, {"bucket", std::to_string(i)}, bytes_of(noise(20'000, 1)), {})) ::_exit(1);
    if (!(*store)->put(0, {"bucket", "large"}, bytes_of(noise(1'200'000, 1)), {})) ::_exit(1);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  int volumes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.file("a") + "/volumes")) volumes += entry.is_regular_file() ? 1 : 0;
  REQUIRE(volumes > 5);
  SyncingFileSystem fs;
  auto store = LocalStore::open({{directory.file("a")}}, fs);
  REQUIRE(store);
  REQUIRE((*store)->flush());
  CHECK(fs.volume_syncs >= volumes);
}

TEST_CASE("LocalStore.remove: that a key of a `sync` bucket is gone is said only when its removal is on stable storage",
          "[object][durability][threads]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  const auto store = open_on(fs, directory.file("a"));
  put(*store, "k", "value");
  const int before = fs.volume_syncs;
  fs.waits_for = fs.written + 2;  // the sync of the first removal ends when one member more is written
  std::atomic<bool> removed{false}, released{false};
  std::thread first([&] { removed = store->remove(0, {"bucket", "k"}).has_value(); });
  while (store->find(0, {"bucket", "k"})) std::this_thread::yield();
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // long enough for a second removal that does not wait
    released = store->put(0, {"plain", "k"}, bytes_of("x"), {}).has_value();
  });
  const auto second = store->remove(0, {"bucket", "k"});
  CHECK(fs.volume_syncs > before);
  CHECK(second.error().code == ErrorCode::not_found);
  first.join();
  release.join();
  CHECK(removed);
  CHECK(released);
  const int after = fs.volume_syncs;
  CHECK(store->remove(0, {"bucket", "k"}).error().code == ErrorCode::not_found);
  CHECK(fs.volume_syncs == after);  // nothing is under way
}

TEST_CASE("LocalStore.remove: after a sync that failed nothing is said to be gone", "[object][durability][faults]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  const auto store = open_on(fs, directory.file("a"));
  put(*store, "k", "value");
  fs.broken = true;
  REQUIRE(store->remove(0, {"bucket", "k"}).error().code == ErrorCode::io);
  fs.broken = false;
  CHECK(store->remove(0, {"bucket", "k"}).error().code == ErrorCode::io);  // gone, and perhaps not after a loss of power
  CHECK(store->remove(0, {"bucket", "k"}, Checksum{}).error().code == ErrorCode::io);
  CHECK(store->remove_bucket("bucket").error().code == ErrorCode::io);
  CHECK(store->remove(0, {"plain", "none"}).error().code == ErrorCode::not_found);
}

TEST_CASE("open: after a sync that failed the page cache is not believed, and that is not forgotten by an open that was interrupted",
          "[object][durability][faults]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  {
    SyncingFileSystem fs;
    const auto store = open_on(fs, disk);
    put(*store, "k", "value");
    fs.broken = true;
    REQUIRE_FALSE(store->put(0, {"bucket", "k"}, bytes_of("new"), {}));
  }
  {  // one that ends before it has read the volumes
    const auto directory_only = volume::DiskDirectory::open(base::posix_file_system(), disk, 0);
    REQUIRE(directory_only);
    CHECK_FALSE((*directory_only)->trustworthy());
  }
  {
    const auto opened = volume::Disk::open(base::posix_file_system(), disk, {});
    REQUIRE(opened);
    CHECK((*opened)->rebuilt());
  }
  const auto opened = volume::Disk::open(base::posix_file_system(), disk, {});
  REQUIRE(opened);
  CHECK_FALSE((*opened)->rebuilt());
}

TEST_CASE("LocalStore.create_bucket: one that failed for a sync is not there after a reopening", "[object][durability][faults]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  {
    const auto store = open_on(fs, directory.file("a"));
    fs.broken = true;
    CHECK_FALSE(store->create_bucket("late", 1, {Durability::sync}));
    CHECK_FALSE(store->has_bucket("late"));
    fs.broken = false;
  }
  CHECK_FALSE(open_on(fs, directory.file("a"))->has_bucket("late"));
}

TEST_CASE("sync: for lack of a descriptor puts fail as busy, and go on as soon as there is one", "[object][durability][faults]") {
  const TemporaryDirectory directory;
  SyncingFileSystem fs;
  LocalStoreOptions options;
  options.directories = {directory.file("a")};
  auto store = LocalStore::open(options, fs).value();
  REQUIRE(store->create_bucket("bucket", 1, {Durability::sync}));
  const std::string large = noise(1'500'000, 1);  // a volume of its own, and so a new name
  fs.no_files = true;
  for (int i = 0; i < 2; ++i) CHECK(store->put(0, {"bucket", "large"}, bytes_of(large), {}).error().code == ErrorCode::busy);
  CHECK(store->flush().error().code == ErrorCode::busy);
  fs.no_files = false;
  put(*store, "large", large);
  put(*store, "small", "x");
  REQUIRE(store->flush());
  CHECK(store->disks().front().trouble.empty());
  REQUIRE(store->close());
  CHECK((get(*open_bare_store({directory.file("a")}), "large") == large));
}
