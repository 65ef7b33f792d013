#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

/// A body that says which key and version it is, so that a mix of two would be seen.
std::string versioned(std::uint64_t key, std::uint64_t version) {
  const std::size_t size = version % 40 == 39 ? limits::kSoloObjectBytesMin + version : 100 + version * 37 % 20'000;
  std::string body = noise(size, key * 1000 + version);
  const std::string tag = std::to_string(key) + "/" + std::to_string(version) + "|";
  return body.replace(0, tag.size(), tag);
}
/// The version in a body; checks that all of it is of that version.
std::uint64_t version_of(std::uint64_t key, const std::string& body) {
  const std::size_t slash = body.find('/');
  if (slash == std::string::npos || slash > 20) return UINT64_MAX;
  const std::uint64_t version = std::strtoull(body.c_str() + slash + 1, nullptr, 10);
  return versioned(key, version) == body ? version : UINT64_MAX;
}

}  // namespace

TEST_CASE("LocalStore: 4 writers and 4 readers; every read is one whole version, never older than one seen before", "[object][threads]") {
  constexpr std::uint64_t kKeysPerWriter = 5, kVersions = 120;
  const TemporaryDirectory directory;
  LocalStoreOptions options;
  options.directories = {directory.file("a")};
  options.volume_bytes_max = 2'000'000;
  auto opened = LocalStore::open(options);
  REQUIRE(opened);
  const auto store = std::move(*opened);
  REQUIRE(store->create_bucket("bucket", 1));
  const auto name = [](std::uint64_t key) { return ObjectName{"bucket", "key/" + std::to_string(key)}; };

  std::atomic<int> writing{4};
  std::atomic<std::uint64_t> failures{0}, reads{0};
  const auto expect = [&](bool good) { failures += good ? 0 : 1; };  // Catch is not for threads
  std::vector<std::thread> threads;
  for (std::uint64_t w = 0; w < 4; ++w)
    threads.emplace_back([&, w] {
      for (std::uint64_t version = 1; version <= kVersions; ++version) {
        for (std::uint64_t key = w * kKeysPerWriter; key < (w + 1) * kKeysPerWriter; ++key) {
          const std::string body = versioned(key, version);
          if (version % 3 == 0) {
            auto writer = store->create(0, name(key), {}, body.size());
            expect(writer && (*writer)->write(bytes_of(body)) && (*writer)->commit());
          } else {
            expect(store->put(0, name(key), bytes_of(body), {}).has_value());
          }
          const auto back = store->get(0, name(key));  // its own writes are seen at once
          expect(back && version_of(key, text_of(*back)) == version);
        }
      }
      --writing;
    });
  for (std::uint64_t r = 0; r < 4; ++r)
    threads.emplace_back([&, r] {
      std::vector<std::uint64_t> seen(4 * kKeysPerWriter, 0);
      for (std::uint64_t i = r; writing > 0 || i < 100; ++i) {
        const std::uint64_t key = i * 7 % seen.size();
        std::string body;
        if (r % 2 == 0) {
          const auto bytes = store->get(0, name(key));
          if (!bytes) {
            expect(bytes.error().code == ErrorCode::not_found && seen[key] == 0);
            continue;
          }
          body = text_of(*bytes);
        } else {
          const auto reader = store->open_reader(0, name(key));
          if (!reader) {
            expect(reader.error().code == ErrorCode::not_found && seen[key] == 0);
            continue;
          }
          body.resize((*reader)->info().size_bytes);
          for (std::size_t at = 0; at < body.size(); at += 65'536)
            expect((*reader)
                       ->read(at, std::as_writable_bytes(std::span(body).subspan(at, std::min<std::size_t>(65'536, body.size() - at))))
                       .has_value());
        }
        const std::uint64_t version = version_of(key, body);
        expect(version != UINT64_MAX && version >= seen[key]);
        seen[key] = version;
        ++reads;
        if (i % 50 == 0) expect(store->list("bucket", {}).has_value());
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(reads > 400);
  REQUIRE(store->flush());
  CHECK(store->disks().front().objects == 4 * kKeysPerWriter);
  REQUIRE(store->close());

  const auto again = open_bare_store({directory.file("a")});
  for (std::uint64_t key = 0; key < 4 * kKeysPerWriter; ++key) {
    const auto bytes = again->get(0, name(key));
    REQUIRE(bytes);
    CHECK(version_of(key, text_of(*bytes)) == kVersions);
  }
}

TEST_CASE("LocalStore: buckets come and go while others put into them; no object is left without a bucket", "[object][threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a"), directory.file("b")});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> failures{0};
  std::thread writer([&] {
    for (std::uint32_t i = 0; !stop; ++i) {
      const ObjectName name{"coming", "k" + std::to_string(i % 3)};
      const auto put = store->put(i % 2, name, bytes_of("x"), {});
      if (!put && put.error().code != ErrorCode::bucket_not_found) ++failures;
      if (put && !store->remove(i % 2, name)) ++failures;
    }
  });
  int removed = 0;
  for (int i = 0; i < 300 || (removed == 0 && i < 30'000); ++i) {  // on a busy machine there may always be an object in it
    (void)store->create_bucket("coming", i);
    if (store->remove_bucket("coming")) ++removed;
  }
  stop = true;
  writer.join();
  CHECK(failures == 0);
  CHECK(removed > 0);
}

TEST_CASE("LocalStore: more than the index takes in one batch makes writers wait, not fail", "[object][threads]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  std::vector<std::thread> writers;
  std::atomic<std::uint64_t> failures{0};
  constexpr std::size_t kEach = limits::kIndexBatchRecordsMax;
  for (std::size_t w = 0; w < 3; ++w)
    writers.emplace_back([&, w] {
      for (std::size_t i = 0; i < kEach; ++i) failures += store->put(0, {"bucket", std::to_string(w * kEach + i)}, {}, {}) ? 0 : 1;
    });
  for (auto& writer : writers) writer.join();
  CHECK(failures == 0);
  CHECK(store->disks().front().objects == 3 * kEach);
}
