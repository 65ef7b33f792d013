// What a full or failing disk does to the store: the caller gets the error, nothing else changes.
#include <catch2/catch.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "base/file.hpp"
#include "object/check.hpp"
#include "store_fixture.hpp"
#include "support/forwarding_file_system.hpp"
#include "volume/disk.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

/// The real file system, until it is told to fail: then each write does half of its work and fails.
class FailingFileSystem final : public ForwardingFileSystem {
 public:
  std::atomic<bool> no_space{false};  ///< writes and renames fail
  std::atomic<bool> no_truncate{false};
  std::atomic<ErrorCode> code{ErrorCode::no_space};  ///< of the failing calls

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = ForwardingFileSystem::open(path, mode, permissions);
    if (!file) return file;
    return std::make_unique<FailingFile>(*this, std::move(*file));
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (no_space) return fail(code.load(), "rename");
    return ForwardingFileSystem::rename(from, to);
  }

 private:
  class FailingFile final : public ForwardingFile {
   public:
    FailingFile(FailingFileSystem& fs, std::unique_ptr<base::File> real) : ForwardingFile(std::move(real)), fs_(fs) {}
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      if (!fs_.no_space) return ForwardingFile::write_at(offset, bytes);
      (void)ForwardingFile::write_at(offset, bytes.first(bytes.size() / 2));
      return fail(fs_.code.load(), "write " + path() + ": refused");
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      if (!fs_.no_space) return ForwardingFile::write_at(offset, pieces);
      (void)ForwardingFile::write_at(offset, pieces.front());
      return fail(fs_.code.load(), "write " + path() + ": refused");
    }
    Result<void> truncate(std::uint64_t size_bytes) override {
      if (fs_.no_truncate) return fail(ErrorCode::io, "truncate");
      return ForwardingFile::truncate(size_bytes);
    }

   private:
    FailingFileSystem& fs_;
  };
};

}  // namespace

TEST_CASE("LocalStore: on a full disk puts and removals say no_space; what was there stays; space comes back", "[object][faults]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  FailingFileSystem fs;
  const bool no_truncate = GENERATE(false, true);  // cutting the half-written member off fails as well
  const std::string large = noise(2'000'000, 1);
  {
    LocalStoreOptions options;
    options.directories = {disk};
    auto opened = LocalStore::open(options, fs);
    REQUIRE(opened);
    const auto store = std::move(*opened);
    REQUIRE(store->create_bucket("bucket", 1));
    put(*store, "small", "here");
    put(*store, "large", large);
    auto writer = store->create(0, {"bucket", "stream"}, {}, UINT64_MAX);
    REQUIRE(writer);
    REQUIRE((*writer)->write(bytes_of(large)));

    fs.no_space = true;
    fs.no_truncate = no_truncate;
    CHECK(store->put(0, {"bucket", "small"}, bytes_of("new"), {}).error().code == ErrorCode::no_space);
    CHECK(store->put(0, {"bucket", "large"}, bytes_of(large), {}).error().code == ErrorCode::no_space);
    CHECK(store->remove(0, {"bucket", "small"}).error().code == ErrorCode::no_space);
    CHECK(store->create_bucket("second", 1).error().code == ErrorCode::no_space);
    CHECK((*writer)->commit().error().code == ErrorCode::no_space);
    CHECK(!store->has_bucket("second"));
    CHECK(get(*store, "small") == "here");
    CHECK(get(*store, "large") == large);
    CHECK(get(*store, "stream") == "error: not_found");
    writer->reset();
    CHECK(solo_volumes(disk) == 1);

    CHECK(store->disks().front().trouble.empty());  // it is full, not broken

    fs.no_space = false;
    put(*store, "after", "space");
    put(*store, "small", "replaced");
    CHECK(get(*store, "after") == "space");
    fs.no_truncate = false;
    REQUIRE(store->close());
  }
  const auto store = open_bare_store({disk});
  CHECK(get(*store, "small") == "replaced");
  CHECK(get(*store, "large") == large);
  CHECK(get(*store, "after") == "space");
  CHECK(store->disks().front().trouble.empty());
  REQUIRE(store->close());
  const auto report = check_disk(disk, {});
  REQUIRE(report);
  CHECK(report->healthy());
}

TEST_CASE("LocalStore: a disk that refuses writes says so in its state until it is opened again", "[object][faults]") {
  const TemporaryDirectory directory;
  FailingFileSystem fs;
  fs.code = GENERATE(ErrorCode::io, ErrorCode::denied);
  const std::string large = noise(1'500'000, 1);
  {
    auto opened = LocalStore::open({{directory.file("a")}}, fs);
    REQUIRE(opened);
    const auto store = std::move(*opened);
    REQUIRE(store->create_bucket("bucket", 1));
    put(*store, "small", "here");
    REQUIRE(store->disks().front().trouble.empty());
    int failures = 0;
    fs.no_space = true;
    SECTION("a small object") {
      CHECK_FALSE(store->put(0, {"bucket", "k"}, bytes_of("new"), {}));
      failures = 1;
    }
    SECTION("a large object") {
      CHECK_FALSE(store->put(0, {"bucket", "k"}, bytes_of(large), {}));
      failures = 1;
    }
    SECTION("a removal, after another failure") {
      CHECK_FALSE(store->put(0, {"bucket", "k"}, bytes_of("new"), {}));
      CHECK_FALSE(store->remove(0, {"bucket", "small"}));
      failures = 2;
    }
    fs.no_space = false;
    const std::string trouble = store->disks().front().trouble;
    INFO(trouble);
    CHECK(trouble.find("writes failed " + std::to_string(failures) + " time") != std::string::npos);
    CHECK(trouble.find(": refused") != std::string::npos);
    put(*store, "after", "it works again");
    CHECK_FALSE(store->disks().front().trouble.empty());
    REQUIRE(store->close());
  }
  CHECK(open_bare_store({directory.file("a")})->disks().front().trouble.empty());
}

TEST_CASE("LocalStore.open: of twenty volumes that were left open those with the most room are written on, the rest is sealed", "[object][faults]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  constexpr int kVolumes = 20;
  constexpr int kWritten = 8;
  const auto key = [](int i) { return "k" + std::to_string(i); };
  const auto body = [](int i) { return noise(static_cast<std::size_t>(1000 * (i + 1)), 3); };
  const auto kinds = [&] {
    std::map<volume::VolumeKind, int> count;
    auto opened = volume::Disk::open(base::posix_file_system(), disk, {});
    REQUIRE(opened);
    REQUIRE((*opened)->commit());
    const auto volumes = (*opened)->volumes().value();
    for (const auto& [volume, state] : volumes) ++count[state.kind];
    REQUIRE((*opened)->close());
    return count;
  };
  {
    FailingFileSystem fs;
    auto store = LocalStore::open({{disk}}, fs);
    REQUIRE(store);
    REQUIRE((*store)->create_bucket("bucket", 1));
    for (int i = 0; i < kVolumes; ++i) {
      put(**store, key(i), body(i));
      fs.no_space = fs.no_truncate = true;  // half a member stays at the volume's end: a new one is begun
      CHECK_FALSE((*store)->put(0, {"bucket", "torn"}, bytes_of("torn"), {}));
      fs.no_space = fs.no_truncate = false;
    }
    REQUIRE((*store)->close());
  }
  for (int round = 0; round < 2; ++round) {
    auto count = kinds();
    CHECK(count[volume::VolumeKind::open] == kWritten);
    CHECK(count[volume::VolumeKind::sealed] == kVolumes - kWritten);
  }
  const auto store = open_bare_store({disk});
  for (int i = 0; i < kVolumes; ++i) CHECK(get(*store, key(i)) == body(i));
  put(*store, "new", "goes on");
  CHECK(store->find(0, {"bucket", "new"})->extents.front().volume <= kWritten);
  REQUIRE(store->close());
  const auto report = check_disk(disk, {});
  REQUIRE(report);
  CHECK(report->healthy());
}
