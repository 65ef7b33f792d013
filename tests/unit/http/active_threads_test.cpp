// As few I/O threads as do the work: simulated clients and cores.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "http/active_threads.hpp"

namespace tarn::http {
namespace {

/// Threads that work as fast as their cores allow, for clients that ask for `demand` cores' worth of work.
unsigned run(ActiveThreads& threads, double demand, double cores, int periods) {
  for (int i = 0; i < periods; ++i) {
    const double used = std::min({demand, cores, static_cast<double>(threads.count())});
    threads.update(used, 1000 * used);
  }
  return threads.count();
}

TEST_CASE("ActiveThreads: one thread while one is enough", "[http]") {
  ActiveThreads threads(8);
  CHECK(run(threads, 0, 8, 10) == 1);
  CHECK(run(threads, 0.8, 8, 100) == 1);
}

TEST_CASE("ActiveThreads: all of them when there is work and there are cores for all", "[http]") {
  ActiveThreads threads(4);
  CHECK(run(threads, 100, 16, 40) == 4);
  CHECK(run(threads, 100, 16, 1000) == 4);
}

TEST_CASE("ActiveThreads: as many as the work needs, and fewer when it ebbs", "[http]") {
  ActiveThreads threads(8);
  CHECK(run(threads, 2.6, 16, 200) == 3);
  CHECK(run(threads, 0.2, 16, 100) == 1);
  CHECK(run(threads, 100, 16, 100) == 8);
}

TEST_CASE("ActiveThreads: a thread that brings nothing is given up, and tried ever more seldom", "[http]") {
  ActiveThreads threads(2);
  int with_two = 0;
  for (int i = 0; i < 2000; ++i) {
    threads.update(threads.count() == 1 ? 1.0 : 0.9, 1000);  // the client takes no more
    with_two += threads.count() == 2 ? 1 : 0;
  }
  CHECK(with_two >= 2);
  CHECK(with_two < 50);
  CHECK(run(threads, 0.1, 2, 10) == 1);
  CHECK(run(threads, 2, 2, 1100) == 2);  // when it does bring something, it is found
}

TEST_CASE("ActiveThreads: where two threads are slower than one, luck does not keep them", "[http]") {
  ActiveThreads threads(2);
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(0.85, 1.15);
  int with_two = 0;
  for (int i = 0; i < 10'000; ++i) {
    threads.update(0.97, (threads.count() == 1 ? 1000 : 800) * noise(random));
    with_two += threads.count() == 2 ? 1 : 0;
  }
  CHECK(with_two < 1000);
}

TEST_CASE("ActiveThreads: where two threads are faster than one, bad luck does not lose them for long", "[http]") {
  ActiveThreads threads(2);
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(0.85, 1.15);
  int with_two = 0;
  for (int i = 0; i < 10'000; ++i) {
    threads.update(threads.count() == 1 ? 1.0 : 1.8, (threads.count() == 1 ? 1000 : 1800) * noise(random));
    with_two += threads.count() == 2 ? 1 : 0;
  }
  CHECK(with_two > 9000);
}

}  // namespace
}  // namespace tarn::http
