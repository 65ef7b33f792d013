// Bytes at the end of an object that is there already.
#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

const ObjectName kName{"bucket", "log"};

ObjectInfo append(LocalStore& store, std::string_view body, const PutOptions& options = {}) {
  const auto info = store.append(0, kName, bytes_of(body), options);
  INFO((info ? std::string() : info.error().message));
  REQUIRE(info);
  return *info;
}

}  // namespace

TEST_CASE("LocalStore.append: the object grows from nothing to many extents, with the options of its begin", "[object][append]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  const std::uint64_t seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  std::string whole;
  const std::size_t sizes[] = {0, 1, 700, 30'000, 400'000, 1'500'000};
  for (std::uint64_t i = 0; i < 60; ++i) {
    const std::string body = noise(sizes[random() % 6] + random() % 10, i);
    whole += body;
    const auto info = append(*store, body, {"type/of" + std::to_string(i), {{"n", std::to_string(i)}}});
    CHECK(info.size_bytes == whole.size());
    CHECK(info.checksum == base::xxh3_128(bytes_of(whole)));
    CHECK(info.content_type == "type/of0");
    if (i % 10 == 9) {
      CHECK(get(*store, "log") == whole);
      const auto found = store->find(0, kName);
      REQUIRE(found);
      CHECK(found->extents.size() <= 30);
    }
    if (i % 20 == 19) {
      REQUIRE(store->close());
      if (i == 39) std::filesystem::remove_all(directory.file("a") + "/index");
      store = open_store({directory.file("a")});
      CHECK(get(*store, "log") == whole);
    }
  }
  REQUIRE(store->flush());
  CHECK(solo_volumes(directory.file("a")) <= store->find(0, kName)->extents.size());
  CHECK(store->disks().front().objects == 1);
  REQUIRE(store->remove(0, kName));
  REQUIRE(store->flush());
  CHECK(solo_volumes(directory.file("a")) == 0);
}

TEST_CASE("LocalStore.append: small appends to a large object copy little and make few extents", "[object][append]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  std::string whole = noise(8'000'000, 1);
  put(*store, "log", whole);
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::string body = noise(4096, 100 + i);
    append(*store, body);
    whole += body;
  }
  CHECK(get(*store, "log") == whole);
  CHECK(store->find(0, kName)->extents.size() <= 12);
  REQUIRE(store->flush());
  // Besides what it consists of there are only the volumes of small members.
  const auto volumes = static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory.file("a") + "/volumes"), {}));
  CHECK(volumes <= store->find(0, kName)->extents.size() + 12);  // of 300 that there were
}

TEST_CASE("LocalStore.append: is not lost beside appends and puts of other threads", "[object][append][thread]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  put(*store, "log", noise(1'100'000, 1));
  constexpr int kThreads = 4, kAppends = 25;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kAppends; ++i)
        if (!store->append(0, kName, bytes_of(std::string(100, static_cast<char>('a' + t))))) ++wrong;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  const std::string whole = get(*store, "log");
  REQUIRE(whole.size() == 1'100'000 + kThreads * kAppends * 100);
  for (int t = 0; t < kThreads; ++t) CHECK(std::count(whole.begin() + 1'100'000, whole.end(), static_cast<char>('a' + t)) == 100 * kAppends);

  // A put while others append: what was appended afterwards is behind it, nothing of before.
  std::atomic<bool> stop{false};
  std::thread appender([&] {
    while (!stop) {
      const auto done = store->append(0, kName, bytes_of("+"));
      if (!done && done.error().code != ErrorCode::aborted) ++wrong;
    }
  });
  for (int i = 0; i < 30; ++i) {
    const std::string body(1000, static_cast<char>('A' + i % 26));
    put(*store, "log", body);
    const std::string now = get(*store, "log");
    CHECK(now.substr(0, 1000) == body);
    CHECK(now.find_first_not_of('+', 1000) == std::string::npos);
  }
  stop = true;
  appender.join();
  CHECK(wrong == 0);
}

TEST_CASE("LocalStore.append: beside removals the object is either gone or whole", "[object][append][thread]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  const std::string begin = noise(1'100'000, 1);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread appender([&] {
    while (!stop) {
      const auto done = store->append(0, kName, bytes_of("+"));
      if (!done && done.error().code != ErrorCode::aborted) ++wrong;
    }
  });
  for (int i = 0; i < 60; ++i) {
    put(*store, "log", begin);
    const auto removed = store->remove(0, kName);
    if (!removed && removed.error().code != ErrorCode::not_found) ++wrong;
    const std::string now = get(*store, "log");  // what was appended since, or nothing
    if (now != "error: not_found" && now.find_first_not_of('+') != std::string::npos) ++wrong;
  }
  stop = true;
  appender.join();
  CHECK(wrong == 0);
}

TEST_CASE("LocalStore.append: to a damaged object is refused, and changes nothing", "[object][append]") {
  const TemporaryDirectory directory;
  auto store = open_store({directory.file("a")});
  put(*store, "log", noise(1'100'000, 1));
  REQUIRE(store->flush());
  for (const auto& entry : std::filesystem::directory_iterator(directory.file("a") + "/volumes"))
    if (entry.file_size() >= limits::kSoloObjectBytesMin) flip_byte(entry.path().string(), 500'000);
  const auto refused = store->append(0, kName, bytes_of("x"));
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::corrupt);
  CHECK(store->find(0, kName)->info.size_bytes == 1'100'000);
  CHECK(store->append(0, {"nowhere", "x"}, bytes_of("x")).error().code == ErrorCode::bucket_not_found);
  CHECK(store->append(0, {"bucket", ""}, bytes_of("x")).error().code == ErrorCode::invalid);
}
