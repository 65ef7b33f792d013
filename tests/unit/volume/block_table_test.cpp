#include <catch2/catch.hpp>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/hash.hpp"
#include "support/temporary_directory.hpp"
#include "volume/block_table.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {

std::vector<std::byte> body_of(std::size_t size) {
  std::vector<std::byte> body(size);
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<std::byte>(base::xxh3_64(std::string_view("body"), i / 64) >> (i % 8 * 8));
  return body;
}

/// The table as its definition says.
std::vector<std::byte> expected_table(std::span<const std::byte> body) {
  std::vector<std::byte> table;
  for (std::size_t at = 0, number = 0; at < body.size(); at += kBlockBytes, ++number) {
    const std::uint64_t hash = base::xxh3_64(body.subspan(at, std::min(kBlockBytes, body.size() - at)), number);
    for (int i = 0; i < 8; ++i) table.push_back(static_cast<std::byte>(hash >> (8 * i) & 0xff));
  }
  return table;
}

std::unique_ptr<base::File> new_file(const std::string& path) {
  auto file = base::posix_file_system().open(path, base::OpenMode::create);
  REQUIRE(file);
  return std::move(*file);
}

std::vector<std::byte> read_all(const base::File& file) {
  std::vector<std::byte> bytes(*file.size());
  REQUIRE(*file.read_at(0, bytes) == bytes.size());
  return bytes;
}

/// Data and its table as in a solo volume whose data begins at `data_offset`; the table's header is left out.
std::shared_ptr<base::File> file_with_table(const std::string& path, std::span<const std::byte> body, std::uint64_t data_offset) {
  std::shared_ptr<base::File> file = new_file(path);
  const auto table = expected_table(body);
  REQUIRE(file->write_at(data_offset, body));
  REQUIRE(file->write_at(table_place(data_offset, body.size()).offset, std::span<const std::byte>(table)));
  return file;
}

}  // namespace

TEST_CASE("BlockTableBuilder: one hash for each 64 KiB, whatever the pieces, also when most of it waits in a file", "[volume][blocks]") {
  const tests::TemporaryDirectory directory;
  const std::uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  INFO("seed " << seed);
  const std::string side = directory.file("side");
  for (const std::size_t size : {0UL, 1UL, 65'535UL, 65'536UL, 65'537UL, 1'048'576UL, 3'000'001UL}) {
    for (const std::size_t memory : {8UL, 64UL, 16UL << 10}) {
      const auto body = body_of(size);
      const auto expected = expected_table(body);
      auto file = new_file(directory.file("table"));
      REQUIRE(file->truncate(0));
      {
        BlockTableBuilder builder(base::posix_file_system(), side, memory);
        for (std::size_t at = 0; at < size;) {
          const std::size_t piece = std::min<std::size_t>(size - at, random() % 3 == 0 ? 65'536 : 1 + random() % 200'000);
          REQUIRE(builder.add(std::span(body).subspan(at, piece)));
          at += piece;
        }
        CHECK(builder.end() == base::xxh3_128(expected));
        CHECK(std::filesystem::exists(side) == (expected.size() > memory));
        REQUIRE(builder.write_to(*file, 0));
      }
      CHECK(read_all(*file) == expected);
      CHECK(!std::filesystem::exists(side));
    }
  }
}

TEST_CASE("BlockTableBuilder: a side file that gives back other bytes is noticed", "[volume][blocks]") {
  const tests::TemporaryDirectory directory;
  const auto body = body_of(1 << 20);
  BlockTableBuilder builder(base::posix_file_system(), directory.file("side"), 8);
  REQUIRE(builder.add(body));
  static_cast<void>(builder.end());
  REQUIRE(new_file(directory.file("side"))->write_at(3, std::span(body).first(1)));
  CHECK(builder.write_to(*new_file(directory.file("table")), 0).error().code == ErrorCode::corrupt);
}

TEST_CASE("BlockReader: any range of any size, in any order", "[volume][blocks]") {
  const tests::TemporaryDirectory directory;
  const std::uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  INFO("seed " << seed);
  for (const std::size_t size : {1UL, 65'536UL, 131'073UL, 3'000'001UL}) {
    const auto body = body_of(size);
    BlockReader reader(file_with_table(directory.file("f" + std::to_string(size)), body, 4096), 4096, size);
    for (int round = 0; round < 200; ++round) {
      const std::uint64_t offset = random() % (size + 1);
      std::vector<std::byte> target(std::min<std::uint64_t>(size - offset, round % 2 == 0 ? random() % 5000 : random() % size));
      const auto bad = reader.read(offset, target);
      REQUIRE(bad);
      CHECK(!*bad);
      CHECK(std::equal(target.begin(), target.end(), body.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
  }
}

TEST_CASE("BlockReader: of a flipped byte only those ranges suffer that touch its block, and it is named", "[volume][blocks]") {
  const tests::TemporaryDirectory directory;
  const std::size_t size = 300'000;
  const auto body = body_of(size);
  const auto file = file_with_table(directory.file("f"), body, 4096);
  const auto flip = [&](std::uint64_t at) {
    std::vector<std::byte> one(1);
    REQUIRE(*file->read_at(at, one) == 1);
    one[0] ^= std::byte{4};
    REQUIRE(file->write_at(at, std::span<const std::byte>(one)));
  };
  const auto bad_block = [&](std::uint64_t offset, std::size_t length) {
    std::vector<std::byte> target(length);
    auto bad = BlockReader(file, 4096, size).read(offset, target);
    REQUIRE(bad);
    return *bad;
  };
  const TablePlace table = table_place(4096, size);
  for (const std::uint64_t at : {4096 + 65'536UL, 4096 + 131'071UL, table.offset + 8, table.offset + 15}) {  // all speak of block 1
    flip(at);
    CHECK(!bad_block(0, 65'536));
    CHECK(!bad_block(131'072, size - 131'072));
    for (const auto& [offset, length] : {std::pair(65'536UL, 1UL), {131'071UL, 1UL}, {0UL, 65'537UL}, {0UL, size}, {100'000UL, 100'000UL}}) {
      const auto bad = bad_block(offset, length);
      REQUIRE(bad);
      CHECK(bad->number == 1);
      CHECK(bad->offset == 4096 + 65'536);
      CHECK(bad->length_bytes == 65'536);
    }
    flip(at);
  }
  CHECK(!bad_block(0, size));
}

TEST_CASE("BlockReader: two blocks that have changed places are both bad", "[volume][blocks]") {
  const tests::TemporaryDirectory directory;
  const auto body = body_of(200'000);
  const auto file = file_with_table(directory.file("f"), body, 4096);
  const TablePlace table = table_place(4096, body.size());
  std::vector<std::byte> hashes(16);
  REQUIRE(*file->read_at(table.offset, hashes) == 16);
  std::rotate(hashes.begin(), hashes.begin() + 8, hashes.end());
  REQUIRE(file->write_at(table.offset, std::span<const std::byte>(hashes)));
  REQUIRE(file->write_at(4096, std::span(body).subspan(65'536, 65'536)));
  REQUIRE(file->write_at(4096 + 65'536, std::span(body).first(65'536)));
  std::vector<std::byte> target(1);
  for (const std::uint64_t offset : {0UL, 70'000UL}) CHECK(BlockReader(file, 4096, body.size()).read(offset, target)->has_value());
}

TEST_CASE("BlockReader: a file that is too short is corrupt", "[volume][blocks]") {
  const tests::TemporaryDirectory directory;
  const auto body = body_of(200'000);
  const auto file = file_with_table(directory.file("f"), body, 4096);
  const TablePlace table = table_place(4096, body.size());
  std::vector<std::byte> target(1);
  for (const std::uint64_t size : {table.offset + 20, table.offset, 4096 + 190'000UL}) {
    REQUIRE(file->truncate(size));
    CHECK(BlockReader(file, 4096, body.size()).read(199'999, target).error().code == ErrorCode::corrupt);
  }
}
