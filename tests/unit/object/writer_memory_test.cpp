// writer_memory_test.cpp - however many writers are open or prepared, they hold a bounded part of the memory.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "object/writer_memory.hpp"
#include "store_fixture.hpp"
#include "support/allocations.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

constexpr std::size_t kOverheadOfWriter = 20 * limits::KiB;  // an open one: its state, and the first bytes

struct OpenBodies {
  std::vector<std::string> bodies;
  std::vector<std::unique_ptr<ObjectWriter>> writers;

  /// Writes `count` bodies of about this size, by turns, in pieces of `piece` bytes.
  OpenBodies(LocalStore& store, std::size_t count, std::size_t size, std::size_t piece, bool hint) {
    for (std::size_t i = 0; i < count; ++i) {
      bodies.push_back(noise(size + i, i));
      auto writer = store.create(0, {"bucket", "k" + std::to_string(i)}, {}, hint ? bodies[i].size() : UINT64_MAX);
      REQUIRE(writer);
      writers.push_back(std::move(*writer));
    }
    for (std::size_t at = 0; at < size + count; at += piece)
      for (std::size_t i = 0; i < count; ++i)
        if (at < bodies[i].size()) REQUIRE(writers[i]->write(bytes_of(bodies[i]).subspan(at, std::min(piece, bodies[i].size() - at))));
  }
  void commit_and_check(const LocalStore& store) {
    for (auto& writer : writers) REQUIRE(writer->commit());
    for (std::size_t i = 0; i < bodies.size(); ++i) CHECK(get(store, "k" + std::to_string(i)) == bodies[i]);
  }
};

}  // namespace

TEST_CASE("writers: many that are open at once hold a bounded part of the memory, and store every byte", "[object]") {
  const bool hint = GENERATE(false, true);
  const std::size_t piece = GENERATE(std::size_t{3000}, std::size_t{100'000}, std::size_t{2'000'000});
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  constexpr std::size_t kWriters = 120;
  const std::size_t before = allocated_bytes();
  reset_peak();
  OpenBodies open(*store, kWriters, 1'000'000, piece, hint);
  const std::size_t bodies = kWriters * 1'000'100;
  CHECK(peak_bytes() - before < bodies + WriterMemory::kOpenBytesMax + kWriters * kOverheadOfWriter + 2 * limits::MiB);
  open.commit_and_check(*store);
}

TEST_CASE("writers: one that cannot be made for lack of memory keeps nothing of what all may hold", "[object]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const std::size_t writers = 2 * WriterMemory::kOpenBytesMax / limits::kSoloObjectBytesMin;
  std::size_t thrown = 0;
  bool ended = false;
  for (std::uint64_t good = 0; !ended; ++good) {  // at each of its allocations, often enough to use up all
    for (std::size_t i = 0; i < writers && !ended; ++i) {
      const FailingAllocation fault(good);
      try {
        const auto writer = store->create(0, {"bucket", "key"}, {}, limits::kSoloObjectBytesMin);
        ended = !fault.happened();
      } catch (const std::bad_alloc&) {
        ++thrown;
      }
    }
  }
  CHECK(thrown >= writers);
  auto writer = store->create(0, {"bucket", "key"}, {}, UINT64_MAX);
  REQUIRE(writer);
  const std::string body = noise(200'000, 1);
  REQUIRE((*writer)->write(bytes_of(body)));
  REQUIRE((*writer)->commit());
  CHECK(get(*store, "key") == body);
  put(*store, "small", "x");
  const auto volume_of = [&](const char* key) { return store->find(0, {"bucket", key})->extents.front().volume; };
  CHECK(volume_of("key") == volume_of("small"));  // there was memory for it: it needed no volume of its own
}

TEST_CASE("writers: prepared bodies that wait for their commit hold a bounded part of the memory", "[object]") {
  const std::size_t size = GENERATE(std::size_t{4000}, std::size_t{40'000});
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const std::size_t count = 40 * limits::MiB / size;
  std::vector<std::unique_ptr<ObjectWriter>> writers;
  const std::size_t before = allocated_bytes();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string body = noise(size, i);
    auto writer = store->create(0, {"bucket", "k" + std::to_string(i)}, {}, size);
    REQUIRE(writer);
    REQUIRE((*writer)->write(bytes_of(body)));
    REQUIRE((*writer)->prepare());
    writers.push_back(std::move(*writer));
  }
  CHECK(allocated_bytes() - before < WriterMemory::kPreparedBytesMax + count * 2000);
  std::string back(size + 1, '?');
  for (const std::size_t i : {std::size_t{0}, count / 2, count - 1}) {
    CHECK(writers[i]->read_back(0, std::as_writable_bytes(std::span(back))).value() == size);
    CHECK(back.substr(0, size) == noise(size, i));
  }
  SECTION("committed, all are there") {
    for (auto& writer : writers) REQUIRE(writer->commit());
    for (std::size_t i = 0; i < count; i += 7) CHECK(get(*store, "k" + std::to_string(i)) == noise(size, i));
  }
  SECTION("dropped, they leave nothing") {
    writers.clear();
    CHECK(store->list("bucket", {})->objects.empty());
  }
  writers.clear();
  CHECK(allocated_bytes() < before + 4 * limits::MiB);  // pending changes of the index, its caches
}
