#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "support/allocations.hpp"
#include "volume/group_sync.hpp"
#include "volume/write_trouble.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {

/// A disk whose syncs take until they are let go, and then do what `outcome` says.
struct SlowDisk {
  std::mutex mutex;
  std::condition_variable changed;
  int begun = 0, allowed = 0;
  Result<void> outcome;
  Result<void> sync() {
    std::unique_lock lock(mutex);
    ++begun;
    changed.notify_all();
    changed.wait(lock, [&, mine = begun] { return allowed >= mine; });
    return outcome;
  }
  void allow(int syncs) {
    const std::lock_guard lock(mutex);
    allowed = syncs;
    changed.notify_all();
  }
  void wait_for(int syncs) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return begun >= syncs; });
  }
};

}  // namespace

TEST_CASE("GroupSync: those who come while a sync runs share the next one", "[volume][durability]") {
  SlowDisk disk;
  GroupSync group([&] { return disk.sync(); });
  std::atomic<int> good{0};
  std::vector<std::thread> writers;
  const auto start = [&] { writers.emplace_back([&, ticket = group.note()] { good += group.wait(ticket) ? 1 : 0; }); };
  start();
  disk.wait_for(1);
  for (int i = 0; i < 20; ++i) start();  // none of them is covered by the first
  disk.allow(1);
  disk.wait_for(2);
  CHECK(good <= 1);
  disk.allow(2);
  for (auto& writer : writers) writer.join();
  CHECK(good == 21);
  CHECK(disk.begun == 2);
  CHECK(group.wait(1));  // known already
  CHECK(disk.begun == 2);
}

TEST_CASE("GroupSync: a sync that failed fails all that it was for, is never tried again, and does not change what was synced before",
          "[volume][durability]") {
  SlowDisk disk;
  GroupSync group([&] { return disk.sync(); });
  disk.allow(1);
  const auto before = group.note();
  REQUIRE(group.wait(before));
  disk.outcome = fail(ErrorCode::io, "fdatasync: broken");
  std::atomic<int> failed{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < 5; ++i) writers.emplace_back([&, ticket = group.note()] { failed += group.wait(ticket) ? 0 : 1; });
  disk.wait_for(2);
  disk.allow(100);
  for (auto& writer : writers) writer.join();
  CHECK(failed == 5);
  disk.outcome = Result<void>();
  CHECK(group.wait(group.note()).error().message == "fdatasync: broken");
  CHECK(group.wait(before));
  CHECK(disk.begun == 2);
}

TEST_CASE("GroupSync: a sync that throws counts as failed, and nobody waits for it for ever", "[volume][durability]") {
  bool throws = true;
  GroupSync group([&]() -> Result<void> {
    if (throws) throw 1;  // not even a std::exception
    return {};
  });
  CHECK(group.wait(group.note()).error().code == ErrorCode::io);
  throws = false;
  CHECK_FALSE(group.wait(group.note()));
}

TEST_CASE("WriteTrouble: a failed sync is remembered although there was no memory for its text", "[volume][durability]") {
  int told = 0;
  WriteTrouble trouble([&] { ++told; });
  Result<void> outcome = fail(ErrorCode::io, std::string(1000, 'x'));
  SECTION("in the note") {
    const tests::FailingAllocation failing(0);
    CHECK_THROWS_AS((void)trouble.watch_sync([&] { return std::move(outcome); }), std::bad_alloc);
  }
  SECTION("in the sync") {
    CHECK_THROWS_AS((void)trouble.watch_sync([]() -> Result<void> { throw std::bad_alloc(); }), std::bad_alloc);
  }
  CHECK(trouble.syncs_work().error().code == ErrorCode::io);
  CHECK_FALSE(trouble.watch_sync([] { return Result<void>(fail(ErrorCode::io, "again")); }));
  CHECK(trouble.watch_sync([] { return Result<void>(); }));
  CHECK_FALSE(trouble.syncs_work());
  CHECK(told == 1);
}

TEST_CASE("GroupSync: a sync that was never begun for lack of a descriptor fails for its leader, and the next one is tried", "[volume][durability]") {
  WriteTrouble trouble;
  int tries = 0;
  GroupSync group([&] {
    return trouble.watch_sync([&]() -> Result<void> {
      if (tries++ < 2) return fail(ErrorCode::busy, "open directory: too many open files");
      return {};
    });
  });
  const std::uint64_t first = group.note();
  CHECK(group.wait(first).error().code == ErrorCode::busy);
  CHECK(trouble.syncs_work());
  CHECK(trouble.text().empty());
  CHECK(group.wait(group.note()).error().code == ErrorCode::busy);
  CHECK(group.wait(group.note()));
  CHECK(group.wait(first));  // covered by now
  CHECK(tries == 3);
}
