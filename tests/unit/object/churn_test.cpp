// A store that is overwritten and emptied many times over, with readers at work: how much space it takes.
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "object/check.hpp"
#include "unit/object/store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kKeys = 1800, kWriters = 3, kChanges = 10 * kKeys;

std::string key_of(std::uint64_t key) {
  return "objects/" + std::to_string(key);
}

/// About 10 KiB; begins with key and version, the rest follows from them.
std::string body_of(std::uint64_t key, std::uint64_t version) {
  std::string text = noise(8'000 + (key * 31 + version * 17) % 4'500, key << 32 | version);
  std::memcpy(text.data(), &key, 8);
  std::memcpy(text.data() + 8, &version, 8);
  return text;
}

/// What the directory takes on its file system, index included.
std::uint64_t real_bytes(const std::string& directory) {
  std::uint64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    struct stat status {};
    if (entry.is_regular_file() && ::stat(entry.path().c_str(), &status) == 0) total += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return total;
}

/// Versions by key; 0: there is none.
using Versions = std::vector<std::uint64_t>;

void churn(LocalStore& store, std::uint64_t writer, std::uint64_t seed, Versions& versions, std::atomic<int>& wrong) {
  std::mt19937_64 random(seed);
  std::uint64_t version = 1;
  for (std::uint64_t i = 0; i < kChanges / kWriters; ++i) {
    // Half of the changes hit a tenth of the keys.
    const std::uint64_t range = random() % 2 == 0 ? kKeys / 10 : kKeys;
    const std::uint64_t key = random() % (range / kWriters) * kWriters + writer;
    const bool remove = versions[key] != 0 && random() % 3 == 0;
    const std::uint64_t next = remove ? 0 : ++version;
    if (remove ? !store.remove(0, {"bucket", key_of(key)}) : !store.put(0, {"bucket", key_of(key)}, bytes_of(body_of(key, next)), {})) ++wrong;
    versions[key] = next;
  }
}

void read(const LocalStore& store, std::uint64_t seed, const std::atomic<bool>& stop, std::atomic<int>& wrong, std::atomic<std::uint64_t>& good) {
  std::mt19937_64 random(seed);
  while (!stop) {
    const std::uint64_t key = random() % kKeys;
    const auto reader = store.open_reader(0, {"bucket", key_of(key)});
    if (!reader) {
      if (reader.error().code != ErrorCode::not_found) ++wrong;
      continue;
    }
    std::vector<std::byte> bytes((*reader)->info().size_bytes);
    const std::size_t half = bytes.size() / 2;  // two reads: it must be one version
    const auto first = (*reader)->read(0, std::span(bytes).first(half));
    const auto second = (*reader)->read(half, std::span(bytes).subspan(half));
    std::uint64_t version = 0;
    std::memcpy(&version, bytes.data() + 8, 8);
    if (!first || !second || text_of(bytes) != body_of(key, version))
      ++wrong;
    else
      ++good;
  }
}

bool wait_until_idle(const LocalStore& store) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (store.disks().front().compaction.active) {  // disks() commits what is pending
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace

TEST_CASE("LocalStore: written over ten times, it takes at most 1.5 times what it holds, and readers never notice", "[compaction][threads]") {
  const std::uint64_t seed = std::random_device()();
  CAPTURE(seed);
  const TemporaryDirectory temporary;
  const std::string directory = temporary.file("a");
  LocalStoreOptions options;
  options.directories = {directory};
  options.volume_bytes_max = 512 * limits::KiB;
  auto opened = LocalStore::open(options);
  REQUIRE(opened);
  auto store = std::move(*opened);
  REQUIRE(store->create_bucket("bucket", 1));
  Versions versions(kKeys, 1);
  for (std::uint64_t key = 0; key < kKeys; ++key) put(*store, key_of(key), body_of(key, 1));

  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> good{0};
  std::vector<std::thread> readers, writers;
  for (std::uint64_t i = 0; i < 2; ++i) readers.emplace_back([&, i] { read(*store, seed + i, stop, wrong, good); });
  for (std::uint64_t i = 0; i < kWriters; ++i) writers.emplace_back([&, i] { churn(*store, i, seed + 10 + i, versions, wrong); });
  for (auto& thread : writers) thread.join();
  const bool idle = wait_until_idle(*store);
  stop = true;
  for (auto& thread : readers) thread.join();
  CHECK(idle);
  CHECK(wrong == 0);
  CHECK(good > 100);

  const auto disk = store->disks().front();
  const double amplification = static_cast<double>(real_bytes(directory)) / static_cast<double>(disk.object_bytes);
  std::printf("churn: %llu bytes live, amplification %.3f (index %.3f), %llu bytes moved, %llu removed, %llu of garbage left\n",
              static_cast<unsigned long long>(disk.object_bytes), amplification,
              static_cast<double>(real_bytes(directory + "/index")) / static_cast<double>(disk.object_bytes),
              static_cast<unsigned long long>(disk.compaction.moved_bytes), static_cast<unsigned long long>(disk.compaction.returned_bytes),
              static_cast<unsigned long long>(disk.compaction.garbage_bytes));
  CHECK(amplification <= 1.5);
  CHECK(disk.trouble.empty());
  CHECK(disk.compaction.returned_bytes > 5 * disk.object_bytes);

  const auto verify = [&] {
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      INFO(key);
      CHECK(get(*store, key_of(key)) == (versions[key] == 0 ? "error: not_found" : body_of(key, versions[key])));
    }
  };
  verify();
  store.reset();
  const auto kept = check_disk(directory, {});
  const auto anew = check_disk(directory, {true});
  REQUIRE((kept && anew));
  CHECK((kept->healthy() && anew->healthy()));
  CHECK(kept->objects == anew->objects);
  CHECK(kept->stale_bytes == anew->stale_bytes);
  store = open_store({directory});
  verify();
}
