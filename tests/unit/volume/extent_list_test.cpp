#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "support/temporary_directory.hpp"
#include "volume/extent_list.hpp"
#include "volume/index.hpp"
#include "volume/member.hpp"
#include "volume/volume_pins.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Record assembled(std::uint64_t sequence, std::vector<Extent> extents) {
  Record record;
  record.sequence = sequence;
  record.size_bytes = extents_bytes(extents).value();
  record.extents = std::move(extents);
  record.list = Extent{1, 1536, 100, false, false, 1536};
  return record;
}
Record part(std::uint64_t sequence, const Extent& extent) {
  Record record;
  record.sequence = sequence;
  record.size_bytes = extent.length_bytes;
  record.extents = {extent};
  return record;
}

}  // namespace

TEST_CASE("extent list: what was encoded comes back; anything else is refused", "[volume]") {
  const std::vector<Extent> extents{{17, 4096, 5'000'000, true, true, 4096}, {1ULL << 40, 8192, 0, true, false, 8192}};
  const std::string text = encode_extent_list(extents);
  CHECK(text == "17 4096 5000000 4096 1\n1099511627776 8192 0 8192 0\n");
  CHECK(decode_extent_list(bytes_of(text)) == extents);
  CHECK(extents_bytes(extents) == 5'000'000);
  CHECK(decode_extent_list({})->empty());
  for (const char* wrong : {"17 4096 5 4096 1", "17 4096 5 4096\n", "17 4096 5 4096 2\n", "17 4096 5 4096 1 \n", "17  4096 5 4096 1\n",
                            "x 4096 5 4096 1\n", "-1 4096 5 4096 1\n", "17 4096 5 100 1\n", "17 4096 5 8192 1\n",
                            "17 4096 99999999999999999999 4096 1\n", "17 4096 9999999999999999999 4096 1\n", "\n"})
    CHECK(!decode_extent_list(bytes_of(wrong)));
  for (std::size_t size = 1; size < text.size(); ++size)
    if (text[size - 1] != '\n') CHECK(!decode_extent_list(bytes_of(text).first(size)));
}

TEST_CASE("record, member: of an assembled object come back whole", "[volume]") {
  const Record record = assembled(9, {{17, 4096, 5'000'000, true, true, 4096}, {18, 4096, 10, true, true, 4096}});
  const auto bytes = encode_record(record);
  CHECK(decode_record(bytes) == record);
  CHECK(is_assembled(bytes));
  CHECK(!decode_brief(bytes));
  CHECK(decode_sequence(bytes) == 9);
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(!decode_record(std::span(bytes).first(size)));

  Member member;
  member.kind = MemberKind::assembled;
  member.name = {"bucket", "key"};
  member.sequence = 9;
  member.size_bytes = 51;
  member.checksum[3] = 7;
  member.object_bytes = 5'000'010;
  member.object_checksum[5] = 6;
  const Place place{base::Uuid::random(), 3, 4096};
  CHECK(decode_header(encode_header(member, place), place) == member);
}

TEST_CASE("Index: a solo volume goes when nothing points to it any more, whatever goes first", "[volume][index]") {
  const tests::TemporaryDirectory directory;
  auto opened = Index::open(base::posix_file_system(), directory.file("index"));
  REQUIRE(opened);
  Index& index = **opened;
  const Extent first{17, 4096, 5'000'000, true, true, 4096}, second{18, 4096, 0, true, true, 4096};
  const auto commit = [&](const std::vector<Change>& changes, const std::vector<Extent>& replaced = {}) {
    Batch batch;
    for (const auto& change : changes) batch.changes.push_back(&change);
    batch.replaced = replaced;
    const auto dead = index.commit(batch);
    REQUIRE(dead);
    std::vector<std::uint64_t> volumes;
    for (const auto& extent : *dead)
      if (extent.solo) volumes.push_back(extent.volume);
    return volumes;
  };
  using Volumes = std::vector<std::uint64_t>;
  CHECK(commit({{".parts" + std::string(1, '\0') + "1", 1, part(1, first)}, {".parts" + std::string(1, '\0') + "2", 2, part(2, second)}}).empty());
  CHECK(index.counters()->objects == 0);
  // In one batch, in the order of the keys: the object takes them over.
  CHECK(commit({{"b" + std::string(1, '\0') + "k", 3, assembled(3, {first, second})}, {".parts" + std::string(1, '\0') + "1", 4, std::nullopt}})
            .empty());
  CHECK(commit({{".parts" + std::string(1, '\0') + "2", 5, std::nullopt}}).empty());
  CHECK(index.counters()->objects == 1);
  CHECK(index.counters()->object_bytes == 5'000'000);
  CHECK(index.volumes()->at(17).kind == VolumeKind::solo);
  CHECK(index.volumes()->at(18).live_bytes == 4096);
  CHECK(index.volumes()->at(1).live_bytes == 1536 + 512);  // the list
  // A longer version keeps one of them.
  const Extent third{19, 4096, 7, true, true, 4096};
  CHECK(commit({{"b" + std::string(1, '\0') + "k", 6, assembled(6, {first, third})}}) == Volumes{18});
  // What was replaced before the index had seen it is needed by what is in the batch, or by nothing.
  const Extent fourth{20, 4096, 9, true, true, 4096}, fifth{21, 4096, 9, true, true, 4096};
  CHECK(commit({{"b" + std::string(1, '\0') + "l", 7, assembled(7, {fourth})}}, {fourth, fifth}) == Volumes{21});
  CHECK(commit({{"b" + std::string(1, '\0') + "m", 6, part(6, fourth)}, {"b" + std::string(1, '\0') + "m", 5, part(5, fifth)}}) == Volumes{21});
  // Its list moves.
  Batch batch;
  const Extent to{2, 2048, 100, false, false, 1536};
  batch.moves = {{"b" + std::string(1, '\0') + "k", 6, *assembled(6, {}).list, to}};
  REQUIRE(index.commit(batch));
  CHECK((*index.find("b" + std::string(1, '\0') + "k"))->list == to);
  CHECK((*index.find("b" + std::string(1, '\0') + "k"))->extents == std::vector{first, third});
  CHECK(commit({{"b" + std::string(1, '\0') + "k", 8, std::nullopt}}) == Volumes{17, 19});
  CHECK(index.volumes()->count(17) == 0);
}

TEST_CASE("VolumePins: a hold keeps its volumes, and nothing else; a pin all of them", "[volume]") {
  std::vector<std::uint64_t> gone;
  int free = 0;
  VolumePins pins([&](std::uint64_t volume) { gone.push_back(volume); }, [&] { ++free; });
  using Volumes = std::vector<std::uint64_t>;
  auto hold = pins.hold({1, 2}), other = pins.hold({2});
  CHECK(!pins.pinned());
  for (const std::uint64_t volume : {1, 2, 3}) pins.unlink(volume);
  CHECK(gone == Volumes{3});
  auto pin = pins.pin();
  hold.reset();
  CHECK(gone == Volumes{3});
  pin.reset();
  CHECK(gone == Volumes{3, 1});
  CHECK(free == 1);
  auto copy = other;
  other.reset();
  CHECK(gone == Volumes{3, 1});
  copy.reset();
  CHECK(gone == Volumes{3, 1, 2});
  CHECK(free == 1);
  auto late = pins.hold({4});
  pins.unlink(4);
  {
    auto closed = std::make_unique<VolumePins>([&](std::uint64_t volume) { gone.push_back(volume); }, [&] { ++free; });
    late = closed->hold({5});
    closed->unlink(5);
  }
  CHECK(gone == Volumes{3, 1, 2, 4});
  late.reset();  // its disk is closed
  CHECK(gone == Volumes{3, 1, 2, 4});
}
