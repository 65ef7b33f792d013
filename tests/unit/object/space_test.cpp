// What a disk may take of its file system: quota and watermark.
#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "store_fixture.hpp"
#include "support/forwarding_file_system.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

/// A file system of 1 TiB with as much free space as the test wants.
class SizedFileSystem final : public ForwardingFileSystem {
 public:
  std::atomic<std::uint64_t> free_bytes{limits::TiB};
  Result<base::Space> space(const std::string&) override { return base::Space{limits::TiB, free_bytes}; }
};

std::uint64_t occupied(const std::string& directory) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) bytes += entry.is_regular_file() ? entry.file_size() : 0;
  return bytes;
}

std::unique_ptr<LocalStore> open_limited(const std::string& directory, const SpaceLimits& space, base::FileSystem& fs) {
  LocalStoreOptions options;
  options.directories = {directory};
  options.space = space;
  auto store = LocalStore::open(options, fs);
  INFO((store ? std::string() : store.error().message));
  REQUIRE(store);
  if (!(*store)->has_bucket("bucket")) REQUIRE((*store)->create_bucket("bucket", 1));
  return std::move(*store);
}

/// Puts objects of this size, at most 64 MiB of them, until one is refused. @return how many were taken, and why the next was not.
std::pair<int, Error> fill(LocalStore& store, const std::string& prefix, std::size_t size) {
  const std::string body = noise(size, 1);
  for (int i = 0; i < static_cast<int>(64 * limits::MiB / size); ++i) {
    const auto done = store.put(0, {"bucket", prefix + std::to_string(i)}, bytes_of(body), {});
    if (!done) return {i, done.error()};
  }
  return {-1, {}};
}

}  // namespace

TEST_CASE("LocalStore: a quota refuses puts before the directory holds more, removals go on, and what they free can be used", "[object][space]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  SizedFileSystem fs;
  const SpaceLimits limits{20 * limits::MiB};
  const std::size_t size = GENERATE(std::size_t{1'500'000}, std::size_t{50'000});
  int held = 0;
  {
    const auto store = open_limited(disk, limits, fs);
    const auto [count, why] = fill(*store, "first-", size);
    CHECK(why.code == ErrorCode::no_space);
    INFO(why.message);
    for (const char* const part : {"/a: its quota of 20.0 MiB", "are used", "remove large objects, or raise the quota"})
      CHECK(why.message.find(part) != std::string::npos);
    CHECK(count * size > 15 * limits::MiB);
    CHECK(occupied(disk) <= limits.quota_bytes);
    const auto space = store->disks().front().space;
    CHECK(space.capacity_bytes == limits.quota_bytes);
    CHECK(space.free_bytes < 4 * limits::MiB);
    CHECK(store->disks().front().trouble.empty());
    held = count;
  }
  {  // the same after a reopening: not one more goes in
    const auto store = open_limited(disk, limits, fs);
    CHECK_FALSE(store->put(0, {"bucket", "another"}, bytes_of(noise(size, 2)), {}));
    for (int i = 0; i < held; ++i) REQUIRE(store->remove(0, {"bucket", "first-" + std::to_string(i)}));
    REQUIRE(store->flush());
    CHECK(store->list("bucket", {})->objects.empty());
    if (size >= limits::kSoloObjectBytesMin) CHECK(fill(*store, "second-", size).first >= held - 1);
    REQUIRE(store->close());
  }
  CHECK(occupied(disk) <= limits.quota_bytes);
}

TEST_CASE("LocalStore: with a quota the space of streams that are given up comes back", "[object][space]") {
  const TemporaryDirectory directory;
  SizedFileSystem fs;
  const auto store = open_limited(directory.file("a"), {20 * limits::MiB}, fs);
  const std::uint64_t before = store->disks().front().space.free_bytes;
  const std::string body = noise(8'000'000, 1);
  for (int i = 0; i < 10; ++i) {
    auto writer = store->create(0, {"bucket", "stream"}, {}, UINT64_MAX);
    REQUIRE(writer);
    REQUIRE((*writer)->write(bytes_of(body)));
    CHECK(store->disks().front().space.free_bytes < before - 7'000'000);  // it counts while it is written
  }
  CHECK(store->disks().front().space.free_bytes == before);
}

TEST_CASE("LocalStore: the watermark keeps a part of the file system free, whoever fills it", "[object][space]") {
  const TemporaryDirectory directory;
  SizedFileSystem fs;
  SpaceLimits limits;
  SECTION("as a part") {
    limits.keep_free_percent = 10;
  }
  SECTION("as a size") {
    limits.keep_free_bytes = limits::TiB / 10;
  }
  const auto store = open_limited(directory.file("a"), limits, fs);
  put(*store, "first", noise(100'000, 1));
  fs.free_bytes = limits::TiB / 10;
  const auto [count, why] = fill(*store, "more-", 1'000'000);  // some had been granted before
  CHECK(count < 20);
  CHECK(why.code == ErrorCode::no_space);
  INFO(why.message);
  CHECK(why.message.find("102.4 GiB of them kept") != std::string::npos);
  REQUIRE(store->remove(0, {"bucket", "first"}));
  fs.free_bytes += limits::GiB;
  put(*store, "again", noise(1'000'000, 1));
}

TEST_CASE("LocalStore.open: limits that make no sense are refused", "[object][space]") {
  const TemporaryDirectory directory;
  for (const SpaceLimits& space : {SpaceLimits{1000}, SpaceLimits{0, 0, 100}, SpaceLimits{0, 0, -1}}) {
    LocalStoreOptions options;
    options.directories = {directory.file("a")};
    options.space = space;
    const auto store = LocalStore::open(options);
    REQUIRE_FALSE(store);
    CHECK(store.error().code == ErrorCode::invalid);
    CHECK_FALSE(std::filesystem::exists(directory.file("a")));
  }
}
