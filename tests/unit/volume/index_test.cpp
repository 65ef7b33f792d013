#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/temporary_directory.hpp"
#include "volume/index.hpp"

using namespace tarn;
using namespace tarn::volume;

namespace {

Record record_of(std::uint64_t sequence, std::uint64_t size = 10) {
  Record record;
  record.sequence = sequence;
  record.size_bytes = size;
  record.modified_ns = -5;
  record.content_type = "text/plain";
  record.user_metadata = {{"a", "b"}};
  record.extents = {{7, 1536, size, false}};
  return record;
}

std::unique_ptr<Index> open_index(const tests::TemporaryDirectory& directory) {
  auto index = Index::open(base::posix_file_system(), directory.file("index"));
  REQUIRE(index);
  return std::move(*index);
}

std::vector<Extent> commit_changes(Index& index, const std::vector<Change>& changes, std::uint64_t sequence = 0, bool keep_removals = false) {
  Batch batch;
  for (const auto& change : changes) batch.changes.push_back(&change);
  batch.sequence = sequence;
  batch.keep_removals = keep_removals;
  auto dead = index.commit(batch);
  INFO((dead ? std::string() : dead.error().message));
  REQUIRE(dead);
  return std::move(*dead);
}

std::vector<std::string> keys_from(const Index& index, std::string_view from) {
  std::vector<std::string> keys;
  REQUIRE(index.scan(from, [&](std::string_view key, std::span<const std::byte>) {
    keys.emplace_back(key);
    return ScanStep{};
  }));
  return keys;
}

}  // namespace

TEST_CASE("record: what was encoded comes back; a cut value is refused", "[volume]") {
  Record record = record_of(1ULL << 40, 1ULL << 42);
  record.extents.push_back({1ULL << 30, 4096, 1, true});
  record.extents.push_back({1ULL << 61, 4096, 1, true, true});
  record.extents.push_back({3, 4096, 1, false, true});
  const auto bytes = encode_record(record);
  REQUIRE(decode_record(bytes));
  CHECK(*decode_record(bytes) == record);
  CHECK(*decode_sequence(bytes) == record.sequence);
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(!decode_record(std::span(bytes).first(size)));
  CHECK(is_removal(encode_removal(5)));
  CHECK(*decode_sequence(encode_removal(5)) == 5);
  CHECK(encode_record(Record{}).size() < 40);
}

TEST_CASE("Index: keys of any length are found, walked in byte order from anywhere, and removed without a trace", "[volume][index]") {
  const tests::TemporaryDirectory directory;
  const auto index = open_index(directory);
  const std::uint64_t seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  // Lengths around the chunk size, long common beginnings, bytes of every value.
  std::map<std::string, std::uint64_t> model;
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    std::string key = "bucket";
    key += '\0';
    const std::size_t lengths[] = {1, 20, 472, 473, 474, 480, 953, 954, 1000, 1024};
    const std::size_t length = lengths[random() % 10];
    key.append(length - std::min<std::size_t>(length, random() % 6), random() % 4 == 0 ? '\xff' : 'p');
    while (key.size() < 7 + length) key += static_cast<char>(1 + random() % 255);
    model[key] = i;
    changes.push_back({key, i, record_of(i)});
  }
  // Neighbours of the branch mark.
  for (const char* tail : {"", "\x01", "\x01\x01", "\x02", "x"}) {
    std::string key = std::string(480, 'c') + tail;
    model[key] = changes.size() + 1;
    changes.push_back({key, changes.size() + 1, record_of(changes.size() + 1)});
  }
  commit_changes(*index, changes, changes.size());
  CHECK(index->counters()->objects == model.size());
  CHECK(index->counters()->sequence == changes.size());
  for (const auto& [key, sequence] : model) {
    const auto found = index->find(key);
    REQUIRE(found);
    REQUIRE(*found);
    CHECK((*found)->sequence == sequence);
    const auto other = index->find(key + "!");
    CHECK((other && other->has_value() == (model.count(key + "!") > 0)));
  }
  const auto expect_from = [&](const std::string& from) {
    std::vector<std::string> expected;
    for (auto at = model.lower_bound(from); at != model.end(); ++at) expected.push_back(at->first);
    CHECK(keys_from(*index, from) == expected);
  };
  expect_from("");
  for (int i = 0; i < 100; ++i) {
    std::string from = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()))->first;
    if (i % 3 == 1) from += '\0';
    if (i % 3 == 2) from.resize(random() % from.size());
    expect_from(from);
  }
  std::vector<Change> removals;
  std::uint64_t sequence = changes.size();
  for (const auto& [key, ignored] : model) removals.push_back({key, ++sequence, std::nullopt});
  CHECK(commit_changes(*index, removals).size() == model.size());
  CHECK(keys_from(*index, "").empty());
  CHECK(index->counters()->objects == 0);
  CHECK(index->counters()->object_bytes == 0);
}

TEST_CASE("Index.scan: a seek jumps over what lies between", "[volume][index]") {
  const tests::TemporaryDirectory directory;
  const auto index = open_index(directory);
  std::vector<Change> changes;
  for (const char* first : {"a", "b", "c"}) {
    for (int i = 0; i < 50; ++i) changes.push_back({first + std::string(600, 'x') + std::to_string(i), changes.size() + 1, record_of(1)});
  }
  commit_changes(*index, changes);
  std::string seen;
  REQUIRE(index->scan("", [&](std::string_view key, std::span<const std::byte>) {
    seen += key.front();
    return ScanStep{ScanStep::seek, std::string(1, static_cast<char>(key.front() + 1))};
  }));
  CHECK(seen == "abc");
}

TEST_CASE("Index.commit: an older change never replaces a newer one; what nothing points to is handed back", "[volume][index]") {
  const tests::TemporaryDirectory directory;
  const auto index = open_index(directory);
  Record solo = record_of(5);
  solo.extents = {{9, 4096, 10, true}};
  commit_changes(*index, {{"k", 5, solo}});
  CHECK(index->volumes()->at(9).kind == VolumeKind::solo);
  CHECK(commit_changes(*index, {{"k", 4, record_of(4)}}).size() == 1);
  CHECK((*index->find("k"))->sequence == 5);
  CHECK(commit_changes(*index, {{"k", 3, std::nullopt}}).empty());
  CHECK((*index->find("k"))->sequence == 5);
  const auto dead = commit_changes(*index, {{"k", 6, std::nullopt}});
  REQUIRE(dead.size() == 1);
  CHECK(dead.front() == Extent{9, 4096, 10, true});
  CHECK(index->volumes()->count(9) == 0);
  CHECK(!*index->find("k"));

  // In a rebuild the removal is remembered, whatever order the volumes come in.
  commit_changes(*index, {{"r", 8, std::nullopt}}, 0, true);
  commit_changes(*index, {{"r", 7, record_of(7)}}, 0, true);
  CHECK(!*index->find("r"));
  CHECK(index->counters()->objects == 0);
  REQUIRE(index->drop_removals());
  CHECK(keys_from(*index, "").empty());
}

TEST_CASE("Index.open: a file that is not an index, or was cut short, is corrupt: no crash, no wrong answer", "[volume][index]") {
  const tests::TemporaryDirectory directory;
  {
    const auto index = open_index(directory);
    std::vector<Change> changes;
    for (std::uint64_t i = 1; i < 20'000; ++i) changes.push_back({"key" + std::to_string(i), i, record_of(i)});
    commit_changes(*index, changes);
    REQUIRE(index->sync());
  }
  auto& fs = base::posix_file_system();
  const std::string path = directory.file("index") + "/data.mdb";
  const auto file = fs.open(path, base::OpenMode::read_write);
  REQUIRE(file);
  REQUIRE((*file)->truncate(*(*file)->size() / 2));
  {
    const auto index = Index::open(fs, directory.file("index"));
    REQUIRE(!index);
    CHECK(index.error().code == ErrorCode::corrupt);
  }
  REQUIRE((*file)->truncate(0));
  const std::string garbage(100'000, 'g');
  REQUIRE((*file)->write_at(0, std::as_bytes(std::span(garbage.data(), garbage.size()))));
  const auto index = Index::open(fs, directory.file("index"));
  REQUIRE(!index);
  CHECK(index.error().code == ErrorCode::corrupt);
}

TEST_CASE("index: it is complete for the disk that it was completed for, and for no other", "[volume]") {
  const tests::TemporaryDirectory directory;
  const base::Uuid mine = base::Uuid::random(), other = base::Uuid::random();
  {
    const auto index = open_index(directory);
    CHECK(!*index->complete(mine, "now"));
    REQUIRE(index->set_complete(mine, "now"));
  }
  const auto index = open_index(directory);
  CHECK(*index->complete(mine, "now"));
  CHECK(!*index->complete(other, "now"));
  CHECK(!*index->complete(mine, "later"));
}
