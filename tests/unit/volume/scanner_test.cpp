#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/hash.hpp"
#include "support/temporary_directory.hpp"
#include "volume/scanner.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {

const base::Uuid kDisk = *base::Uuid::parse("01234567-89ab-4cde-8f01-23456789abcd");

/// A volume of three members with the keys "0", "1", "2" and bodies of 700 bytes each.
std::vector<std::byte> three_members(std::vector<std::uint64_t>& begins) {
  std::vector<std::byte> volume;
  for (int i = 0; i < 3; ++i) {
    begins.push_back(volume.size());
    const std::vector<std::byte> body(700, static_cast<std::byte>('a' + i));
    Member member;
    member.name = {"bucket", std::to_string(i)};
    member.sequence = static_cast<std::uint64_t>(i) + 1;
    member.size_bytes = body.size();
    member.checksum = base::xxh3_128(body);
    const auto header = encode_header(member, Place{kDisk, 1, volume.size()});
    volume.insert(volume.end(), header.begin(), header.end());
    volume.insert(volume.end(), body.begin(), body.end());
    volume.resize(tar::padded(volume.size()));
  }
  begins.push_back(volume.size());
  return volume;
}

struct Scan {
  ScanResult result;
  std::string keys;
};

Scan scan(const tests::TemporaryDirectory& directory, std::span<const std::byte> bytes, std::uint64_t begin = 0) {
  auto& fs = base::posix_file_system();
  const auto file = fs.open(directory.file("v.tar"), base::OpenMode::create);
  REQUIRE(file);
  REQUIRE((*file)->truncate(0));
  REQUIRE((*file)->write_at(0, bytes));
  Scan scanned;
  const auto result = scan_volume(**file, kDisk, 1, begin, [&](const ScannedMember& found) -> Result<void> {
    scanned.keys += found.member.name.key;
    const auto checksum = checksum_of(**file, found.data_offset, found.member.size_bytes);
    CHECK((checksum && *checksum == found.member.checksum));
    return {};
  });
  REQUIRE(result);
  scanned.result = *result;
  return scanned;
}

}  // namespace

TEST_CASE("scan_volume: whole, from the middle, with a trailer, empty", "[volume][scan]") {
  const tests::TemporaryDirectory directory;
  std::vector<std::uint64_t> begins;
  auto volume = three_members(begins);
  CHECK(scan(directory, volume).keys == "012");
  CHECK(scan(directory, volume).result.end_offset == volume.size());
  CHECK(!scan(directory, volume).result.trailer);
  CHECK(scan(directory, volume, begins[1]).keys == "12");
  CHECK(scan(directory, volume, volume.size()).keys.empty());
  CHECK(scan(directory, {}).result.end_offset == 0);
  volume.resize(volume.size() + 1024);
  const Scan sealed = scan(directory, volume);
  CHECK(sealed.result.trailer);
  CHECK(sealed.result.torn_bytes == 0);
  CHECK(sealed.result.end_offset == begins[3]);
}

TEST_CASE("scan_volume: cut at every byte, the whole members remain and the rest is known to be cut short", "[volume][scan]") {
  const tests::TemporaryDirectory directory;
  std::vector<std::uint64_t> begins;
  const auto volume = three_members(begins);
  for (std::size_t size = begins[1]; size < volume.size(); ++size) {
    const Scan cut = scan(directory, std::span(volume).first(size));
    INFO(size);
    CHECK(cut.keys == (size < begins[2] ? "0" : "01"));
    CHECK(cut.result.end_offset == (size < begins[2] ? begins[1] : begins[2]));
    CHECK(cut.result.torn_bytes == size - cut.result.end_offset);
    CHECK(cut.result.cut_short == (cut.result.torn_bytes > 0));
    CHECK(cut.result.damages.empty());
  }
}

TEST_CASE("scan_volume: damage in one header hides that member only", "[volume][scan]") {
  const tests::TemporaryDirectory directory;
  std::vector<std::uint64_t> begins;
  const auto volume = three_members(begins);
  for (std::size_t member = 0; member < 3; ++member) {
    for (std::size_t at = begins[member]; at < begins[member] + 1536; at += 11) {
      auto damaged = volume;
      damaged[at] ^= std::byte{0x10};
      const Scan found = scan(directory, damaged);
      INFO(at);
      CHECK(found.keys == (member == 0 ? "12" : member == 1 ? "02" : "01"));
      if (member == 2) {
        CHECK(found.result.torn_bytes == begins[3] - begins[2]);
        CHECK(!found.result.cut_short);
      } else {
        REQUIRE(found.result.damages.size() == 1);
        CHECK(found.result.damages[0].offset == begins[member]);
        CHECK(found.result.damages[0].length_bytes == begins[member + 1] - begins[member]);
      }
    }
  }
}

TEST_CASE("scan_volume: a volume stored as an object does not come alive when its own header is damaged", "[volume][scan]") {
  const tests::TemporaryDirectory directory;
  std::vector<std::uint64_t> begins;
  const auto inner = three_members(begins);
  Member member;
  member.name = {"bucket", "backup.tar"};
  member.sequence = 9;
  member.size_bytes = inner.size();
  member.checksum = base::xxh3_128(inner);
  auto outer = encode_header(member, Place{kDisk, 1, 0});
  outer.insert(outer.end(), inner.begin(), inner.end());
  outer[600] ^= std::byte{1};
  CHECK(scan(directory, outer).keys.empty());
}
