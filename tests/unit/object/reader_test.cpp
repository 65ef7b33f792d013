#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;

namespace {

std::unique_ptr<ObjectReader> open_reader(const LocalStore& store, const std::string& key) {
  auto reader = store.open_reader(0, {"bucket", key});
  REQUIRE(reader);
  return std::move(*reader);
}
std::string read(ObjectReader& reader, std::uint64_t offset, std::size_t length) {
  std::string text(length, '?');
  const auto got = reader.read(offset, std::as_writable_bytes(std::span(text.data(), text.size())));
  if (!got) return "error: " + std::string(to_string(got.error().code));
  text.resize(*got);
  return text;
}
/// Flips a byte of the object on disk.
void damage(const LocalStore& store, const std::string& key, std::uint64_t offset) {
  const auto found = store.find(0, {"bucket", key});
  REQUIRE(found);
  flip_byte(volume_path(store.disks().front().directory, found->extents.front().volume), found->extents.front().offset + offset);
}

}  // namespace

TEST_CASE("ObjectReader: any range, in any order; short only at the end", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  for (const std::size_t size : {0U, 1U, 5000U, 3'000'000U}) {
    const std::string body = noise(size, size);
    put(*store, "x", body);
    const auto reader = open_reader(*store, "x");
    CHECK(reader->info().size_bytes == size);
    CHECK(reader->info().key == "x");
    for (const std::uint64_t offset : {0ULL, 1ULL, 4999ULL, 5000ULL, 2'999'999ULL, 5'000'000'000ULL})
      CHECK(read(*reader, offset, 1000) == (offset < size ? body.substr(offset, 1000) : std::string()));
    std::string from_extents;
    for (const auto& extent : reader->extents()) {
      std::string part(extent.length_bytes, '\0');
      REQUIRE(extent.file->read_at(extent.offset, std::as_writable_bytes(std::span(part.data(), part.size()))));
      from_extents += part;
    }
    CHECK(from_extents == body);
  }
}

TEST_CASE("ObjectReader: an object counts as verified after one whole read, however it was made", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const auto fresh = [&](std::size_t size) {
    put(*store, "x", noise(size, 1));
    auto reader = open_reader(*store, "x");
    CHECK(!reader->verified());
    return reader;
  };
  {
    const auto reader = fresh(100'000);  // small: even one byte verifies it
    (void)read(*reader, 5, 1);
    CHECK(reader->verified());
    CHECK(open_reader(*store, "x")->verified());
  }
  {
    const auto reader = fresh(2'000'000);
    (void)read(*reader, 0, 1'000'000);
    CHECK(!reader->verified());
    (void)read(*reader, 1'000'000, 1'000'000);
    CHECK(reader->verified());
  }
  {
    const auto reader = fresh(2'000'000);  // a gap: not whole
    (void)read(*reader, 0, 1'000'000);
    (void)read(*reader, 1'000'001, 999'999);
    CHECK(!reader->verified());
  }
  {
    const auto reader = fresh(2'000'000);
    CHECK(get(*store, "x").size() == 2'000'000);
    CHECK(reader->verified());
  }
  {
    const auto reader = fresh(0);
    (void)read(*reader, 0, 10);
    CHECK(reader->verified());
  }
}

TEST_CASE("reads: damaged bytes are an error that names the object, never data", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const std::string small = noise(5000, 1), large = noise(3'000'000, 2);
  put(*store, "small", small);
  put(*store, "large", large);
  put(*store, "fine", "fine");
  damage(*store, "small", 4999);
  damage(*store, "large", 2'500'000);
  const auto bytes = store->get(0, {"bucket", "small"});
  REQUIRE(!bytes);
  CHECK(bytes.error().code == ErrorCode::corrupt);
  CHECK(bytes.error().message.find("bucket/small") != std::string::npos);
  CHECK(get(*store, "large") == "error: corrupt");
  CHECK(get(*store, "fine") == "fine");
  CHECK(read(*open_reader(*store, "small"), 0, 10) == "error: corrupt");
  const auto reader = open_reader(*store, "large");
  CHECK(read(*reader, 0, 1'000'000) == large.substr(0, 1'000'000));
  CHECK(read(*reader, 1'000'000, 1'000'000) == large.substr(1'000'000, 1'000'000));
  CHECK(read(*reader, 2'000'000, 1'000'000) == "error: corrupt");  // the call that would give the last byte
  CHECK(!reader->verified());
}

TEST_CASE("put: bad names and metadata are refused before anything is written", "[object]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  for (const std::string& key : {std::string(), std::string(1025, 'k'), std::string("a\0b", 3), std::string("\xff")}) {
    CHECK(store->put(0, {"bucket", key}, {}, {}).error().code == ErrorCode::invalid);
    CHECK(store->create(0, {"bucket", key}, {}, 0).error().code == ErrorCode::invalid);
  }
  CHECK(store->put(0, {"bucket", "k"}, {}, {"", {{"n", std::string(3000, 'v')}}}).error().code == ErrorCode::invalid);
  CHECK(store->put(5, {"bucket", "k"}, {}, {}).error().code == ErrorCode::invalid);
  CHECK(store->create_bucket("No", 1).error().code == ErrorCode::invalid);
  CHECK(store->disks().front().objects == 0);
}
