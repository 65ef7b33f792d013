// The clock goes back: order is that of sequences, never that of times.
#include <catch2/catch.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <filesystem>
#include <string>

#include "base/text.hpp"
#include "object/check.hpp"
#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

std::atomic<std::int64_t> clock_offset_s{0};

}  // namespace

/// In the place of libc's: the wall clock is what the test says.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long outcome = ::syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME && outcome == 0) time->tv_sec += clock_offset_s.load();
  return static_cast<int>(outcome);
}

namespace {

constexpr std::int64_t kYear = 365 * 24 * 3600;

class ClockBack {
 public:
  explicit ClockBack(std::int64_t seconds) { clock_offset_s = -seconds; }
  ClockBack(const ClockBack&) = delete;
  ClockBack& operator=(const ClockBack&) = delete;
  ~ClockBack() { clock_offset_s = 0; }
};

}  // namespace

TEST_CASE("A clock that goes back: the newer version counts, between puts, openings and rebuilds", "[object][clock]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("a");
  const std::int64_t now = base::now_ns();
  {
    auto store = open_bare_store({disk});
    REQUIRE(store->create_bucket("bucket", 1, {Durability::sync}));
    for (const char* const key : {"between puts", "between openings", "removed", "large"}) put(*store, key, "old");
    const ClockBack back(kYear);
    REQUIRE(base::now_ns() < now - kYear / 2 * 1'000'000'000);
    put(*store, "between puts", "new");
    REQUIRE(store->remove(0, {"bucket", "removed"}));
  }
  {
    const ClockBack back(2 * kYear);
    const auto store = open_bare_store({disk});
    put(*store, "between openings", "new");
    put(*store, "large", noise(1'500'000, 1));
    REQUIRE(store->flush());
  }
  const bool rebuild = GENERATE(false, true);
  if (rebuild) std::filesystem::remove_all(disk + "/index");
  const ClockBack back(GENERATE(0, 3) * kYear);
  const auto store = open_bare_store({disk});
  CHECK(get(*store, "between puts") == "new");
  CHECK(get(*store, "between openings") == "new");
  CHECK(get(*store, "removed") == "error: not_found");
  CHECK((get(*store, "large") == noise(1'500'000, 1)));
  // What is told of a version is the time that was when it was put.
  CHECK(store->find(0, {"bucket", "between openings"})->info.modified_ns < now - kYear * 1'500'000'000);
  const auto page = store->list("bucket", {});
  REQUIRE(page);
  CHECK(page->objects.size() == 3);
  for (const auto& object : page->objects) CHECK(object.modified_ns < now);
  CHECK(store->disks().front().trouble.empty());
  REQUIRE(store->close());
  CHECK(check_disk(disk, {})->healthy());
}
