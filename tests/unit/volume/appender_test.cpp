// What Appender::sync() promises: every member that was appended before it is on stable storage when it returns.
#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "support/forwarding_file_system.hpp"
#include "support/temporary_directory.hpp"
#include "volume/appender.hpp"
#include "volume/file_cache.hpp"
#include "volume/pending.hpp"

using namespace tarn;
using namespace tarn::tests;
using namespace tarn::volume;

namespace {

/// The real file system, with an account of what of each file has been synced.
class SyncedFileSystem final : public ForwardingFileSystem {
 public:
  struct Account {
    std::uint64_t writes = 0, synced = 0;  // synced: the number of writes before the last fdatasync
    std::uint64_t syncs = 0;
  };
  std::atomic<bool> hold_rename{false}, rename_held{false};    ///< a rename waits while hold_rename is set
  std::atomic<bool> hold_trailer{false}, trailer_held{false};  ///< the write that seals a volume waits while hold_trailer is set
  [[nodiscard]] Account account(const std::string& path) {
    const std::lock_guard lock(mutex_);
    return accounts_[path];
  }

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = ForwardingFileSystem::open(path, mode, permissions);
    if (!file) return file;
    return std::make_unique<SyncedFile>(*this, std::move(*file));
  }
  Result<void> sync_directory(const std::string&) override { return {}; }
  Result<void> rename(const std::string& from, const std::string& to) override {
    while (hold_rename) {
      rename_held = true;
      std::this_thread::yield();
    }
    return ForwardingFileSystem::rename(from, to);
  }

 private:
  class SyncedFile final : public ForwardingFile {
   public:
    SyncedFile(SyncedFileSystem& fs, std::unique_ptr<base::File> real) : ForwardingFile(std::move(real)), fs_(fs) {}
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      while (fs_.hold_trailer) {
        fs_.trailer_held = true;
        std::this_thread::yield();
      }
      auto written = ForwardingFile::write_at(offset, bytes);
      note_write();
      return written;
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      auto written = ForwardingFile::write_at(offset, pieces);
      note_write();
      return written;
    }
    Result<void> sync_data() override {
      const std::lock_guard lock(fs_.mutex_);
      auto& account = fs_.accounts_[path()];
      account.synced = account.writes;
      ++account.syncs;
      return {};
    }

   private:
    void note_write() {
      const std::lock_guard lock(fs_.mutex_);
      ++fs_.accounts_[path()].writes;
    }
    SyncedFileSystem& fs_;
  };

  std::mutex mutex_;  // guards accounts_
  std::map<std::string, Account> accounts_;
};

}  // namespace

TEST_CASE("Appender.sync: a large object that gets its name while one runs is synced by the next", "[volume][threads]") {
  const TemporaryDirectory directory;
  SyncedFileSystem fs;
  REQUIRE(fs.make_directory(directory.file("volumes")));
  FileCache cache(fs, directory.path(), 16);
  Pending pending;
  Appender appender(fs, directory.path(), base::Uuid::random(), cache, pending, {}, 1 << 20);
  Member member;
  member.name = {"bucket", "large"};
  const auto solo = appender.create_solo(member);
  REQUIRE(solo);
  REQUIRE((*solo)->write(std::as_bytes(std::span("x", 1))));
  fs.hold_rename = true;
  std::atomic<bool> named{false}, synced{false}, first{false};
  std::thread writer([&] { named = appender.commit_solo(**solo, member).has_value(); });
  while (!fs.rename_held) std::this_thread::yield();
  std::thread syncer([&] {
    first = appender.sync().has_value();
    synced = true;
  });
  // It either passes the volume by, which has no name yet, or waits for it.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  while (!synced && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  fs.hold_rename = false;
  writer.join();
  syncer.join();
  REQUIRE(named);
  CHECK(first);
  REQUIRE(appender.sync());
  CHECK(fs.account(volume_file_path(directory.path(), 1)).syncs >= 1);
}

TEST_CASE("Appender.sync: also a volume that another writer seals at that moment", "[volume][threads]") {
  const TemporaryDirectory directory;
  SyncedFileSystem fs;
  REQUIRE(fs.make_directory(directory.file("volumes")));
  FileCache cache(fs, directory.path(), 16);
  Pending pending;
  Appender appender(fs, directory.path(), base::Uuid::random(), cache, pending, {}, 1);  // each member seals the volume before it
  const auto append = [&] {
    Member member;
    member.name = {"bucket", "key"};
    return appender.append(member, std::as_bytes(std::span("x", 1)));
  };
  std::size_t unsynced = 0;
  for (int i = 0; i < 20; ++i) {
    const auto acknowledged = append();
    REQUIRE(acknowledged);
    fs.trailer_held = false;
    fs.hold_trailer = true;
    std::thread sealer([&] { (void)append(); });
    while (!fs.trailer_held) std::this_thread::yield();
    std::atomic<bool> syncing{false};
    bool synced = false;
    std::thread syncer([&] {
      syncing = true;
      synced = appender.sync().has_value();
    });
    while (!syncing) std::this_thread::yield();
    for (int turn = 0; turn < 100; ++turn) std::this_thread::yield();  // more or fewer: another order, which must be right as well
    fs.hold_trailer = false;
    sealer.join();
    syncer.join();
    REQUIRE(synced);
    unsynced += fs.account(volume_file_path(directory.path(), acknowledged->extents.front().volume)).synced == 0 ? 1 : 0;
  }
  CHECK(unsynced == 0);
}
