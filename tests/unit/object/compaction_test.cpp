// What compaction promises: nothing that is needed is lost, nothing that is gone comes back, whatever is rebuilt, closed or damaged.
#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "object/check.hpp"
#include "support/forwarding_file_system.hpp"
#include "unit/object/store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kVolumeBytes = 150'000;

/// All garbage is too much; compacts only when it is told to.
LocalStoreOptions eager(const std::string& directory) {
  LocalStoreOptions options;
  options.directories = {directory};
  options.volume_bytes_max = kVolumeBytes;
  options.compaction = {0, 1'000'000, 0};
  return options;
}

std::unique_ptr<LocalStore> open_eager(const std::string& directory, base::FileSystem& file_system = base::posix_file_system()) {
  auto store = LocalStore::open(eager(directory), file_system);
  INFO((store ? std::string() : store.error().message));
  REQUIRE(store);
  if (!(*store)->has_bucket("bucket")) REQUIRE((*store)->create_bucket("bucket", 1));
  return std::move(*store);
}

void compact(LocalStore& store) {
  const auto done = store.compact();
  INFO((done ? std::string() : done.error().message));
  REQUIRE(done);
}

std::uint64_t volume_bytes(const std::string& directory) {
  std::uint64_t total = 0;
  if (!fs::exists(directory + "/volumes")) return 0;
  for (const auto& entry : fs::directory_iterator(directory + "/volumes")) total += entry.file_size();
  return total;
}

CheckReport check(const std::string& directory, bool rebuild = false) {
  const auto report = check_disk(directory, {rebuild});
  REQUIRE(report);
  for (const auto& trouble : report->troubles) UNSCOPED_INFO(trouble);
  for (const auto& damaged : report->damaged) UNSCOPED_INFO(damaged.key + ": " + damaged.reason);
  CHECK(report->healthy());
  return *report;
}

/// Random changes of a store, and what it must hold.
class Model {
 public:
  Model(std::string directory, std::uint64_t seed) : directory_(std::move(directory)), random_(seed), store_(open_eager(directory_)) {}

  void step() {
    const std::uint64_t kind = random_() % 100;
    if (kind < 55) return put_one();
    if (kind < 80) return remove_one();
    if (kind < 88) return compact(*store_);
    if (kind < 92) return change_bucket();
    if (kind < 96) return reopen();
    rebuild();
  }

  /// Closes the store, rebuilds its index and compares.
  void rebuild() {
    store_.reset();
    const std::uint64_t counted = check(directory_).stale_bytes;
    const auto anew = check(directory_, true);
    CHECK(anew.stale_bytes == counted);
    CHECK(anew.objects == objects_.size());
    reopen();
    CHECK(store_->disks().front().compaction.garbage_bytes == counted);  // what the index counts is what the volumes hold
  }

  void verify() {
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = key_of(i);
      const auto expected = objects_.find(key);
      INFO(key);
      CHECK(get(*store_, key) == (expected == objects_.end() ? "error: not_found" : expected->second));
    }
    for (const auto& [bucket, exists] : buckets_) CHECK(store_->has_bucket(bucket) == exists);
  }

 private:
  static constexpr int kKeys = 40;
  static std::string key_of(std::uint64_t number) { return (number % 8 == 7 ? std::string(900, 'k') : "key/") + std::to_string(number); }

  void put_one() {
    const std::string key = key_of(random_() % kKeys);
    const std::uint64_t dice = random_() % 100;
    const std::size_t size = dice < 3 ? limits::kSoloObjectBytesMin + random_() % 1000 : dice < 10 ? 0 : random_() % 20'000;
    std::string body = noise(size, random_());
    PutOptions options;
    if (random_() % 4 == 0) options.user_metadata["note"] = std::string(random_() % 1500, 'm');
    put(*store_, key, body, 0, options);
    objects_[key] = std::move(body);
  }
  void remove_one() {
    const std::string key = key_of(random_() % kKeys);
    CHECK(bool(store_->remove(0, {"bucket", key})) == (objects_.erase(key) == 1));
  }
  void change_bucket() {
    const std::string bucket = "other-" + std::to_string(random_() % 3);
    bool& exists = buckets_[bucket];
    if (exists)
      REQUIRE(store_->remove_bucket(bucket));
    else
      REQUIRE(store_->create_bucket(bucket, 1));
    exists = !exists;
  }
  void reopen() {
    store_.reset();
    store_ = open_eager(directory_);
    CHECK(store_->disks().front().trouble.empty());
    verify();
  }

  const std::string directory_;
  std::mt19937_64 random_;
  std::unique_ptr<LocalStore> store_;
  std::map<std::string, std::string> objects_;
  std::map<std::string, bool> buckets_;
};

}  // namespace

TEST_CASE("Compaction: whatever is put, removed, compacted and rebuilt in whatever order, the store holds what was put last", "[compaction]") {
  const std::uint64_t seed = std::random_device()();
  CAPTURE(seed);
  for (std::uint64_t run = 0; run < 6; ++run) {
    const TemporaryDirectory temporary;
    Model model(temporary.file("a"), seed + run);
    for (int i = 0; i < 250; ++i) model.step();
    model.verify();
    model.rebuild();
    model.verify();
  }
}

TEST_CASE("Compaction: what was overwritten and removed is given back, and a rebuild brings nothing back", "[compaction]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  auto store = open_eager(directory);
  for (int round = 0; round < 3; ++round)
    for (int i = 0; i < 60; ++i) put(*store, std::to_string(i), noise(10'000, static_cast<std::uint64_t>(60 * round + i)));
  REQUIRE(store->flush());
  CHECK(volume_bytes(directory) > 180 * 11'000);
  compact(*store);
  CHECK(volume_bytes(directory) < 60 * 11'776 + 30'000);
  for (int i = 0; i < 60; ++i) CHECK(get(*store, std::to_string(i)) == noise(10'000, static_cast<std::uint64_t>(120 + i)));

  for (int i = 0; i < 60; ++i) REQUIRE(store->remove(0, {"bucket", std::to_string(i)}));
  compact(*store);
  CHECK(volume_bytes(directory) < 10'000);  // the bucket's note; the removals have nothing left to remove
  const auto stats = store->disks().front().compaction;
  CHECK(stats.garbage_bytes == 0);
  CHECK(stats.returned_bytes > 180 * 11'776);
  CHECK(stats.moved_bytes > 0);
  store.reset();
  CHECK(check(directory, true).objects == 0);
}

TEST_CASE("Compaction: a removal stays as long as another volume holds what it removed", "[compaction]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  auto store = open_eager(directory);
  // The first volume: one object that goes, among many that stay. It would give back too little.
  put(*store, "old", "must not come back");
  for (int i = 0; i < 12; ++i) put(*store, "stays-" + std::to_string(i), noise(10'000, static_cast<std::uint64_t>(i)));
  // The second: the removal, and much that goes.
  for (int i = 0; i < 11; ++i) put(*store, "goes", noise(10'000, static_cast<std::uint64_t>(i)));
  REQUIRE(store->remove(0, {"bucket", "old"}));
  REQUIRE(store->remove(0, {"bucket", "goes"}));
  REQUIRE(store->flush());
  const std::uint64_t before = volume_bytes(directory);
  compact(*store);
  CHECK(volume_bytes(directory) < before - 100'000);
  store.reset();
  CHECK(check(directory, true).objects == 12);
  CHECK(get(*open_eager(directory), "old") == "error: not_found");
}

TEST_CASE("Compaction: a volume with a damaged object stays, the disk says so, and the others are compacted", "[compaction]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  auto store = open_eager(directory);
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 40; i += 1 + round) put(*store, std::to_string(i), noise(10'000, static_cast<std::uint64_t>(100 * round + i)));
  const auto bad = store->find(0, {"bucket", "1"});
  REQUIRE(bad);
  const std::string path = volume_path(directory, bad->extents.at(0).volume);
  flip_byte(path, bad->extents.at(0).offset + 5000);
  const std::uint64_t before = volume_bytes(directory);
  compact(*store);
  CHECK(volume_bytes(directory) < before);
  CHECK(fs::exists(path));
  CHECK(store->disks().front().trouble.find("bucket/1 do not match") != std::string::npos);
  CHECK(get(*store, "1") == "error: corrupt");
  for (int i = 2; i < 40; ++i) CHECK(get(*store, std::to_string(i)) == noise(10'000, static_cast<std::uint64_t>((i % 2 == 0 ? 100 : 0) + i)));
}

TEST_CASE("Compaction: nothing is copied out of a damaged volume, however often the store is opened", "[compaction]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  auto store = open_eager(directory);
  for (int i = 0; i < 6; ++i) put(*store, std::to_string(i), noise(10'000, static_cast<std::uint64_t>(i)));
  for (int i = 0; i < 6; i += 2) put(*store, std::to_string(i), noise(10'000, static_cast<std::uint64_t>(100 + i)));
  const auto bad = store->find(0, {"bucket", "3"});
  REQUIRE(bad);
  const std::uint64_t volume = bad->extents.at(0).volume;
  REQUIRE(store->find(0, {"bucket", "1"})->extents.at(0).volume == volume);
  flip_byte(volume_path(directory, volume), bad->extents.at(0).offset + 5000);
  const std::uint64_t before = volume_bytes(directory);
  for (int round = 0; round < 2; ++round) {
    compact(*store);
    CHECK(store->disks().front().compaction.moved_bytes == 0);
    CHECK(store->find(0, {"bucket", "1"})->extents.at(0).volume == volume);
    CHECK(store->disks().front().trouble.find("bucket/3 do not match") != std::string::npos);
    CHECK(volume_bytes(directory) <= before + 2 * 1024);  // the archive's end
    store.reset();
    store = open_eager(directory);
  }
  REQUIRE(store->remove(0, {"bucket", "3"}));
  compact(*store);
  CHECK(!fs::exists(volume_path(directory, volume)));
}

TEST_CASE("Compaction: waits while volumes are pinned, and what goes meanwhile stays readable", "[compaction]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  auto store = open_eager(directory);
  put(*store, "large", noise(2'000'000, 1));
  for (int i = 0; i < 12; ++i) put(*store, std::to_string(i), noise(10'000, static_cast<std::uint64_t>(i)));
  auto pins = store->pin_volumes();
  const auto large = store->find(0, {"bucket", "large"});
  const auto small = store->find(0, {"bucket", "3"});
  REQUIRE((large && small));
  for (int i = 0; i < 12; ++i) REQUIRE(store->remove(0, {"bucket", std::to_string(i)}));
  REQUIRE(store->remove(0, {"bucket", "large"}));
  REQUIRE(store->flush());
  compact(*store);
  for (const auto& stored : {*large, *small}) {
    const auto& extent = stored.extents.at(0);
    const auto file = base::posix_file_system().open(volume_path(directory, extent.volume), base::OpenMode::read);
    REQUIRE(file);
    std::vector<std::byte> bytes(extent.length_bytes);
    CHECK((*file)->read_at(extent.offset, bytes).value() == bytes.size());
    CHECK(base::xxh3_128(bytes) == stored.info.checksum);
  }
  auto second = store->pin_volumes();
  pins.clear();
  CHECK(fs::exists(volume_path(directory, large->extents.at(0).volume)));
  second.clear();
  CHECK_FALSE(fs::exists(volume_path(directory, large->extents.at(0).volume)));
  compact(*store);
  CHECK(volume_bytes(directory) < 10'000);

  pins = store->pin_volumes();
  store.reset();
  pins.clear();  // after its store: nothing to do any more
}

namespace {

/// A small disk: what volumes take of it is counted; syncs can be refused.
class SmallFileSystem final : public ForwardingFileSystem {
 public:
  explicit SmallFileSystem(std::string directory) : directory_(std::move(directory)) {}
  static constexpr std::uint64_t kCapacity = 4 << 20;
  std::atomic<bool> refuse_syncs{false};

  Result<base::Space> space(const std::string&) override { return base::Space{kCapacity, kCapacity - std::min(kCapacity, volume_bytes(directory_))}; }
  Result<void> sync_directory(const std::string& directory) override {
    if (refuse_syncs) return fail(ErrorCode::io, "fsync " + directory + ": refused");
    return ForwardingFileSystem::sync_directory(directory);
  }

 private:
  const std::string directory_;
};

}  // namespace

TEST_CASE("Compaction: a full disk is emptied with what is kept for that, whatever is removed", "[compaction][faults]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  SmallFileSystem file_system(directory);
  auto store = open_eager(directory, file_system);
  int full = 0;
  while (store->put(0, {"bucket", std::to_string(full)}, bytes_of(noise(10'000, static_cast<std::uint64_t>(full))), {})) ++full;
  CHECK(full > 200);
  CHECK(volume_bytes(directory) < SmallFileSystem::kCapacity);
  for (int part = 0; part < 6; ++part) {  // a ninth each time, spread over all volumes
    for (int i = part; i < full; i += 9) REQUIRE(store->remove(0, {"bucket", std::to_string(i)}));
    compact(*store);
    CHECK(volume_bytes(directory) < SmallFileSystem::kCapacity);
  }
  CHECK(volume_bytes(directory) < SmallFileSystem::kCapacity / 2);
  for (int i = 0; i < full; ++i)
    CHECK(get(*store, std::to_string(i)) == (i % 9 < 6 ? "error: not_found" : noise(10'000, static_cast<std::uint64_t>(i))));
  put(*store, "more", noise(10'000, 1));
}

TEST_CASE("Compaction: when a sync fails the volumes stay, and it rests until the disk is opened again", "[compaction][faults]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  SmallFileSystem file_system(directory);
  auto store = open_eager(directory, file_system);
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 40; ++i) put(*store, std::to_string(i), noise(10'000, static_cast<std::uint64_t>(100 * round + i)));
  REQUIRE(store->flush());
  file_system.refuse_syncs = true;
  std::set<fs::path> volumes;
  for (const auto& entry : fs::directory_iterator(directory + "/volumes")) volumes.insert(entry.path());
  CHECK(store->compact().error().code == ErrorCode::io);
  for (const auto& path : volumes) CHECK(fs::exists(path));
  file_system.refuse_syncs = false;
  compact(*store);  // does nothing: what was not written cannot be told from what was
  for (const auto& path : volumes) CHECK(fs::exists(path));
  CHECK(store->disks().front().trouble.find("refused") != std::string::npos);
  for (int i = 0; i < 40; ++i) CHECK(get(*store, std::to_string(i)) == noise(10'000, static_cast<std::uint64_t>(100 + i)));
  store.reset();
  store = open_eager(directory);
  compact(*store);
  CHECK(volume_bytes(directory) < 40 * 12'000 + 20'000);
  for (int i = 0; i < 40; ++i) CHECK(get(*store, std::to_string(i)) == noise(10'000, static_cast<std::uint64_t>(100 + i)));
}

TEST_CASE("Compaction: closing stops it at once, and the next open goes on", "[compaction]") {
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  {
    auto store = open_eager(directory);
    for (int round = 0; round < 2; ++round)
      for (int i = 0; i < 100; i += 1 + round) put(*store, std::to_string(i), noise(10'000, static_cast<std::uint64_t>(100 * round + i)));
  }
  LocalStoreOptions slow = eager(directory);
  slow.compaction.bytes_per_second = 1000;  // would take ten minutes
  {
    auto store = LocalStore::open(slow);
    REQUIRE(store);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (volume_bytes(directory) < 150 * 11'776 + 2'000 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();  // it has begun
    CHECK((*store)->disks().front().compaction.active);
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE((*store)->close());
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
  }
  CHECK(check(directory).objects == 100);
  auto store = open_eager(directory);
  compact(*store);
  CHECK(volume_bytes(directory) < 100 * 12'000 + 20'000);
  for (int i = 0; i < 100; ++i) CHECK(get(*store, std::to_string(i)) == noise(10'000, static_cast<std::uint64_t>((i % 2 == 0 ? 100 : 0) + i)));
}
