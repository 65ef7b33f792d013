// What makes a disk suspect, and what ends it.
#include <catch2/catch.hpp>

#include <chrono>
#include <string>

#include "volume/write_trouble.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {

Result<void> refused(ErrorCode code) {
  return fail(code, "write /disk/volumes/00000001.tar: refused");
}

}  // namespace

TEST_CASE("WriteTrouble: it says what failed, how often and since when, and ends when a write works long after the last failure",
          "[volume][faults]") {
  WriteTrouble::Clock::time_point now{};
  WriteTrouble trouble({}, [&] { return now; });
  const ErrorCode code = GENERATE(ErrorCode::io, ErrorCode::denied);
  CHECK(trouble.text().empty());
  CHECK_FALSE(trouble.watch(refused(code)));
  now += limits::kSuspectTime - std::chrono::seconds(1);
  CHECK(trouble.watch(Result<void>()));
  INFO(trouble.text());
  CHECK(trouble.text().find("writes failed 1 time since 20") == 0);
  CHECK(trouble.text().find("00000001.tar: refused") != std::string::npos);
  CHECK_FALSE(trouble.watch(refused(code)));  // the time begins anew
  now += std::chrono::seconds(2);
  CHECK(trouble.watch(Result<void>()));
  CHECK(trouble.text().find("writes failed 2 times") == 0);
  now += limits::kSuspectTime;
  CHECK_FALSE(trouble.text().empty());  // nothing has shown that it works
  CHECK(trouble.watch(Result<void>()));
  CHECK(trouble.text().empty());
  CHECK_FALSE(trouble.watch(refused(code)));
  CHECK(trouble.text().find("writes failed 1 time ") == 0);
}

TEST_CASE("WriteTrouble: a full disk is not suspect; one whose sync failed stays it", "[volume][faults]") {
  WriteTrouble::Clock::time_point now{};
  WriteTrouble trouble({}, [&] { return now; });
  CHECK_FALSE(trouble.watch(refused(ErrorCode::no_space)));
  CHECK(trouble.text().empty());
  CHECK_FALSE(trouble.watch_sync([] { return refused(ErrorCode::no_space); }));
  now += 100 * limits::kSuspectTime;
  CHECK(trouble.watch(Result<void>()));
  CHECK(trouble.watch_sync([] { return Result<void>(); }));
  INFO(trouble.text());
  CHECK(trouble.text().find("until the store is opened again") != std::string::npos);
  CHECK_FALSE(trouble.syncs_work());
}
