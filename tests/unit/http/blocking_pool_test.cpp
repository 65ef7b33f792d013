// The pool for calls that wait, and the listening socket.
#include "http/blocking_pool.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>

#include "http/listen.hpp"

using namespace tarn;
using namespace tarn::http;

TEST_CASE("BlockingPool: a full queue refuses and hands the job back", "[http][pool]") {
  std::promise<void> gate;
  const std::shared_future<void> open = gate.get_future().share();
  std::promise<void> running;
  std::atomic<int> done{0};
  BlockingPool pool(1, 1);
  base::UniqueFunction<void()> first([&] {
    running.set_value();
    open.wait();
    ++done;
  });
  REQUIRE(pool.try_post(first));
  running.get_future().wait();
  base::UniqueFunction<void()> second([&] { ++done; });
  REQUIRE(pool.try_post(second));
  base::UniqueFunction<void()> third([&] { ++done; });
  CHECK_FALSE(pool.try_post(third));
  CHECK(static_cast<bool>(third));
  CHECK(pool.post(third));  // a transfer that has begun goes on
  gate.set_value();
  pool.stop();
  CHECK(done == 3);
  base::UniqueFunction<void()> late([&] { ++done; });
  CHECK_FALSE(pool.post(late));
}

TEST_CASE("BlockingPool: as many jobs at once as there are threads", "[http][pool]") {
  constexpr int kThreads = 4;
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0;
  BlockingPool pool(kThreads, 100);
  for (int i = 0; i < kThreads; ++i) {
    base::UniqueFunction<void()> job([&] {
      std::unique_lock lock(mutex);
      if (++here == kThreads) all_here.notify_all();
      (void)all_here.wait_for(lock, std::chrono::seconds(30), [&] { return here == kThreads; });
    });
    REQUIRE(pool.try_post(job));
  }
  pool.stop();
  CHECK(here == kThreads);
}

TEST_CASE("BlockingPool: a job that throws harms nobody", "[http][pool]") {
  BlockingPool pool(1, 10);
  std::atomic<bool> ran{false};
  base::UniqueFunction<void()> bad([] { throw std::runtime_error("test"); });
  base::UniqueFunction<void()> good([&] { ran = true; });
  REQUIRE(pool.try_post(bad));
  REQUIRE(pool.try_post(good));
  pool.stop();
  CHECK(ran);
}

TEST_CASE("listen_on: addresses, interfaces and what is neither", "[http][listen]") {
  const auto any = listen_on("127.0.0.1", 0);
  REQUIRE(any);
  CHECK(any->url == "http://127.0.0.1:" + std::to_string(any->port));
  const auto taken = listen_on("127.0.0.1", any->port);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == ErrorCode::busy);
  const auto loopback = listen_on("lo", 0);
  REQUIRE(loopback);
  CHECK(loopback->url.starts_with("http://127.0.0.1:"));
  const auto unknown = listen_on("no-such-interface0", 0);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == ErrorCode::invalid);
  CHECK(unknown.error().message.find("lo") != std::string::npos);
  const auto foreign = listen_on("192.0.2.1", 0);
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().code == ErrorCode::invalid);
}
