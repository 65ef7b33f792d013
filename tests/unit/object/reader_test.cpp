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

TEST_CASE("ObjectReader: a part of a large object is verified by its blocks; a damaged block is an error, the others can be read", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const std::size_t size = 3'000'000;
  const std::string body = noise(size, 2);
  put(*store, "large", body);
  damage(*store, "large", 1'000'000);  // in block 15: 983,040 to 1,048,576
  const auto reader = open_reader(*store, "large");
  CHECK(read(*reader, 0, 983'040) == body.substr(0, 983'040));
  CHECK(read(*reader, 1'048'576, 1'900'000) == body.substr(1'048'576, 1'900'000));
  CHECK(read(*reader, size - 10, 100) == body.substr(size - 10));
  for (const std::uint64_t offset : {983'040ULL, 999'999ULL, 1'000'000ULL, 1'048'575ULL, 900'000ULL})
    CHECK(read(*reader, offset, 100'000) == "error: corrupt");
  std::vector<std::byte> one(1);
  const auto got = reader->read(983'040, one);
  REQUIRE(!got);
  const auto found = store->find(0, {"bucket", "large"});
  for (const std::string& named : {std::string("bucket/large"), std::string("983040 to 1048576"),
                                   volume_path(directory.file("a"), found->extents[0].volume), std::to_string(found->extents[0].offset + 983'040)})
    CHECK(got.error().message.find(named) != std::string::npos);
}

TEST_CASE("ObjectReader: what is read in order is verified before it is given out, not only at the end", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const std::string body = noise(2'000'000, 2);
  put(*store, "large", body);
  damage(*store, "large", 500'000);
  const auto reader = open_reader(*store, "large");
  CHECK(read(*reader, 0, 400'000) == body.substr(0, 400'000));
  CHECK(read(*reader, 400'000, 400'000) == "error: corrupt");
}

TEST_CASE("ObjectReader: also of an object that was verified before, no part is given out that has changed since", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  put(*store, "large", noise(2'000'000, 2));
  CHECK(get(*store, "large").size() == 2'000'000);
  damage(*store, "large", 500'000);
  CHECK(open_reader(*store, "large")->verified());
  CHECK(read(*open_reader(*store, "large"), 499'000, 2000) == "error: corrupt");
}

TEST_CASE("LocalStore: damage that a read finds shows in the disk's trouble until the object is replaced or removed", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  const auto trouble = [&] { return store->disks().front().trouble; };
  put(*store, "large", noise(2'000'000, 2));
  for (int i = 0; i < 3; ++i) put(*store, "small" + std::to_string(i), noise(10'000, 3));
  CHECK(trouble().empty());
  damage(*store, "large", 500'000);
  for (int i = 0; i < 3; ++i) damage(*store, "small" + std::to_string(i), 7);
  CHECK(read(*open_reader(*store, "large"), 500'000, 1) == "error: corrupt");
  CHECK(read(*open_reader(*store, "large"), 500'000, 1) == "error: corrupt");  // the same one is counted once
  CHECK(trouble().find("1 object is damaged: bucket/large") != std::string::npos);
  CHECK(get(*store, "small0") == "error: corrupt");
  CHECK(read(*open_reader(*store, "small1"), 0, 1) == "error: corrupt");
  CHECK(trouble().find("3 objects are damaged: bucket/large, bucket/small0, bucket/small1") != std::string::npos);
  put(*store, "large", "new");
  REQUIRE(store->remove(0, {"bucket", "small1"}));
  CHECK(trouble().find("1 object is damaged: bucket/small0") != std::string::npos);
  put(*store, "small0", "new");
  CHECK(trouble().empty());
}

TEST_CASE("LocalStore: of very many damaged objects some are named", "[object][read]") {
  const TemporaryDirectory directory;
  const auto store = open_store({directory.file("a")});
  for (int i = 0; i < 100; ++i) {
    put(*store, "k" + std::to_string(i), noise(100, 1));
    damage(*store, "k" + std::to_string(i), 7);
    CHECK(get(*store, "k" + std::to_string(i)) == "error: corrupt");
  }
  const std::string trouble = store->disks().front().trouble;
  CHECK(trouble.find("64 or more objects are damaged: bucket/k0, ") != std::string::npos);
  CHECK(trouble.find("bucket/k8") == std::string::npos);
  CHECK(trouble.find("and others") != std::string::npos);
}
