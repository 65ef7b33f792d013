#include <catch2/catch.hpp>

#include <string>

#include "support/temporary_directory.hpp"
#include "volume/disk.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {

Record record_with(std::size_t extents) {
  Record record;
  record.sequence = 1ULL << 33;
  record.size_bytes = 700;
  record.checksum.fill(0xA5);
  record.modified_ns = -1;
  record.content_type = "text/plain";
  record.user_metadata = {{"a", "b"}, {"name", std::string(300, 'v')}};
  for (std::size_t i = 0; i < extents; ++i) record.extents.push_back({12 + i, 1536, 700, false});
  return record;
}

}  // namespace

TEST_CASE("decode_brief: says what decode_record says, of objects of one extent or none, and nothing of anything else", "[volume]") {
  for (const std::size_t extents : {0U, 1U}) {
    const Record record = record_with(extents);
    const auto bytes = encode_record(record);
    const auto brief = decode_brief(bytes);
    REQUIRE(brief);
    CHECK(brief->sequence == record.sequence);
    CHECK(brief->size_bytes == record.size_bytes);
    CHECK(brief->checksum == record.checksum);
    CHECK(brief->extent == (extents == 0 ? Extent{} : record.extents.front()));
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_brief(std::span(bytes).first(size)));
    auto longer = bytes;
    longer.push_back(std::byte{0});
    CHECK_FALSE(decode_brief(longer));
  }
  CHECK_FALSE(decode_brief(encode_record(record_with(2))));
  CHECK_FALSE(decode_brief(encode_removal(7)));
}

TEST_CASE("Disk.find_brief: knows what the index knows, and leaves to find() what is pending, missing or of impossible length", "[volume]") {
  const tests::TemporaryDirectory directory;
  const auto disk = Disk::open(base::posix_file_system(), directory.file("disk"), {});
  REQUIRE(disk);
  for (const std::size_t length : {1U, 480U, 481U, 1024U}) {
    Member member;
    member.name = {"bucket", std::string(length, 'k')};
    const auto record = (*disk)->append(member, std::as_bytes(std::span("four", 4)));
    REQUIRE(record);
    REQUIRE((*disk)->commit());
    const auto brief = (*disk)->find_brief("bucket", member.name.key);
    REQUIRE(brief);
    CHECK(brief->sequence == record->sequence);
    CHECK(brief->extent == record->extents.front());
    member.kind = MemberKind::deleted;
    REQUIRE((*disk)->append(member, {}));
    CHECK_FALSE((*disk)->find_brief("bucket", member.name.key));  // whether the index has the removal yet or not
    REQUIRE((*disk)->commit());
    CHECK_FALSE((*disk)->find_brief("bucket", member.name.key));
  }
  CHECK_FALSE((*disk)->find_brief("bucket", std::string(1025, 'k')));
  CHECK_FALSE((*disk)->find_brief(std::string(64, 'b'), std::string(1024, 'k')));
}
