// volume_fuzz.cpp - a small disk, damaged at each byte of its volume in turn, and opened.
//
// Whatever the damage: open() does not crash, get() gives the right bytes or an error, an object that the damage did not
// touch is there, and damage that may have changed what is seen is reported. In three situations:
//   intact index    the index knows everything: only the data is read again
//   no index        everything is rebuilt from the headers
//   stale index     the index knows nothing of the volume, as after kill -9: the scan at open() finds it
// In memory where possible (/dev/shm): thousands of stores are opened.
#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "object/check.hpp"
#include "unit/object/store_fixture.hpp"

using namespace tarn;
using namespace tarn::object;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

enum class Situation { intact_index, no_index, stale_index };

/// Each of the bytes takes minutes: here every so many of them; sanitizers take ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kThin = 11;
#else
constexpr std::uint64_t kThin = 3;
#endif

/// Fewer where the headers are not read. Every byte, if $TARN_FUZZ_FULL is set (tests/slow.sh).
std::uint64_t step_of(Situation situation, std::uint64_t few) {
  if (std::getenv("TARN_FUZZ_FULL") != nullptr) return 1;
  return (situation == Situation::no_index ? 1 : few) * kThin;
}

/// Directories in memory, unless the caller has chosen others.
struct InMemory {
  InMemory() {
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TARN_TEST_TMPDIR", "/dev/shm", 0);
  }
} const in_memory;

struct Part {
  std::uint64_t begin = 0, end = 0;  // header and data in the volume
  std::string key, body;
};

/// A closed disk with one volume, and a copy of its index from before it held anything.
struct Sample {
  TemporaryDirectory directory;
  std::vector<Part> parts;        // newest versions, in the order of the volume
  std::string volume;             // its bytes
  std::uint64_t known_bytes = 0;  // of it, in the old index: the bucket's note

  Sample() {
    {
      const auto store = open_store({disk()});
      REQUIRE(store->close());
    }
    known_bytes = fs::file_size(volume_path(disk(), 1));
    fs::copy(disk() + "/index", directory.file("old-index"), fs::copy_options::recursive);
    fs::copy(disk() + "/lock", directory.file("old-lock"));
    const auto store = open_bare_store({disk()});
    put(*store, "over", "the old version");
    put(*store, "gone", "removed later");
    std::uint64_t before = fs::file_size(volume_path(disk(), 1));
    const auto add = [&](const std::string& key, const std::string& body) {
      put(*store, key, body);
      const std::uint64_t end = fs::file_size(volume_path(disk(), 1));
      parts.push_back({before, end, key, body});
      before = end;
    };
    add("first", noise(600, 1));
    add("over", "the new version");
    add("empty", "");
    add("with/slash", noise(1025, 2));
    REQUIRE(store->remove(0, {"bucket", "gone"}));
    before = fs::file_size(volume_path(disk(), 1));
    add("last", noise(100, 3));
    REQUIRE(store->close());
    volume = read_file(volume_path(disk(), 1));
    REQUIRE(volume.size() == parts.back().end);
  }

  [[nodiscard]] std::string disk() const { return directory.file("disk"); }

  /// A copy with other bytes in its volume. @return its directory.
  [[nodiscard]] std::string copy(const std::string& bytes, Situation situation) const {
    const std::string target = directory.file("copy");
    fs::remove_all(target);
    fs::create_directories(target + "/volumes");
    fs::copy(disk() + "/disk.json", target + "/disk.json");
    fs::copy(situation == Situation::stale_index ? directory.file("old-lock") : disk() + "/lock", target + "/lock");
    write_file(volume_path(target, 1), bytes);
    if (situation != Situation::no_index)
      fs::copy(situation == Situation::intact_index ? disk() + "/index" : directory.file("old-index"), target + "/index",
               fs::copy_options::recursive);
    return target;
  }
};

/// Bytes [begin, end) of the volume are not what they were; beyond `end` all is well, unless it was cut off.
void check_damaged(const std::string& disk, const Sample& sample, std::uint64_t begin, std::uint64_t end) {
  const auto store = LocalStore::open({{disk}, 0});
  REQUIRE(store);
  const bool reported = !(*store)->disks().front().trouble.empty();
  for (const Part& part : sample.parts) {
    const std::string got = get(**store, part.key);
    INFO(part.key);
    if (part.end <= begin || part.begin >= end) {
      CHECK(got == part.body);
    } else if (got != part.body) {
      // Its own header or data is gone: an error, or (after a scan that says so) the version before.
      const bool older = part.key == "over" && got == "the old version";
      CHECK((got.rfind("error: ", 0) == 0 || (older && reported)));
      if (got == "error: not_found") CHECK(reported);
    }
  }
  // The disk goes on: what is put now is found again.
  put(**store, "after", "wards");
  CHECK(get(**store, "after") == "wards");
}

}  // namespace

TEST_CASE("fuzz: each byte of a volume flipped", "[fuzz]") {
  const Sample sample;
  const auto situation = GENERATE(Situation::intact_index, Situation::no_index, Situation::stale_index);
  for (std::uint64_t at = 0; at < sample.volume.size(); at += step_of(situation, 5)) {
    std::string bytes = sample.volume;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    INFO("byte " << at << ", situation " << static_cast<int>(situation));
    check_damaged(sample.copy(bytes, situation), sample, at, at + 1);
  }
}

TEST_CASE("fuzz: a volume cut at each byte", "[fuzz]") {
  const Sample sample;
  const auto situation = GENERATE(Situation::intact_index, Situation::no_index, Situation::stale_index);
  const std::uint64_t last_members = sample.parts[sample.parts.size() - 2].begin;
  for (std::uint64_t size = 0; size < sample.volume.size();
       size += size < last_members ? step_of(Situation::stale_index, 16) : step_of(Situation::no_index, 1)) {
    INFO("size " << size << ", situation " << static_cast<int>(situation));
    const std::string disk = sample.copy(sample.volume.substr(0, size), situation);
    const auto store = LocalStore::open({{disk}, 0});
    REQUIRE(store);
    for (const Part& part : sample.parts) {
      const std::string got = get(**store, part.key);
      INFO(part.key);
      if (part.end <= size) {
        CHECK(got == part.body);
      } else if (got != part.body) {  // only padding may be missing where it is the same
        const bool older = part.key == "over" && got == "the old version";
        CHECK((got.rfind("error: ", 0) == 0 || (older && situation != Situation::intact_index)));
      }
    }
    if (situation == Situation::stale_index && size < sample.known_bytes) {
      CHECK(!(*store)->disks().front().trouble.empty());  // shorter than what even that index knows
    } else if (situation != Situation::intact_index) {
      // The torn member was never acknowledged: cut off, the volume is whole again.
      CHECK((*store)->disks().front().trouble.empty());
      if (!(*store)->has_bucket("bucket")) REQUIRE((*store)->create_bucket("bucket", 1));
      put(**store, "after", "wards");
      REQUIRE((*store)->close());
      const auto report = check_disk(disk, {});
      REQUIRE(report);
      CHECK(report->healthy());
    }
  }
}

TEST_CASE("fuzz: random damage of many bytes, zeros, and pieces in the wrong place", "[fuzz]") {
  const Sample sample;
  const std::uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  WARN("seed " << seed);
  for (int round = 0; round < 1500; ++round) {
    std::string bytes = sample.volume;
    const std::uint64_t begin = random() % bytes.size();
    const std::uint64_t end = std::min<std::uint64_t>(bytes.size(), begin + 1 + random() % 2000);
    switch (random() % 3) {
      case 0:
        for (std::uint64_t i = begin; i < end; ++i) bytes[i] = static_cast<char>(random());
        break;
      case 1:
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.begin() + static_cast<std::ptrdiff_t>(end), '\0');
        break;
      case 2:
        bytes.replace(begin, end - begin, sample.volume.substr(random() % (bytes.size() - (end - begin)) / 512 * 512, end - begin));
        break;
    }
    if (bytes.size() != sample.volume.size()) continue;
    INFO("seed " << seed << ", round " << round << ", bytes " << begin << " to " << end);
    check_damaged(sample.copy(bytes, static_cast<Situation>(random() % 3)), sample, begin, end);
  }
}

TEST_CASE("fuzz: an index that was cut short or lost its first pages is made anew from the volumes", "[fuzz]") {
  const Sample sample;
  const std::uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  WARN("seed " << seed);
  for (int round = 0; round < 200; ++round) {
    const std::string disk = sample.copy(sample.volume, Situation::intact_index);
    const std::string path = disk + "/index/data.mdb";
    std::string bytes = read_file(path);
    if (round % 2 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 8192); ++i) bytes[i] = static_cast<char>(random());  // both meta pages
    }
    write_file(path, bytes);
    INFO("seed " << seed << ", round " << round << ", size " << bytes.size());
    const auto store = LocalStore::open({{disk}, 0});
    REQUIRE(store);
    for (const Part& part : sample.parts) CHECK(get(**store, part.key) == part.body);
    CHECK(get(**store, "gone") == "error: not_found");
  }
}

TEST_CASE("fuzz: bytes of a solo volume flipped: its header, its table of block hashes, what surrounds them, some of its data", "[fuzz]") {
  const TemporaryDirectory directory;
  const std::string disk = directory.file("disk"), copy = directory.file("copy");
  const std::string body = noise((1 << 20) + 100'000, 4);
  std::uint64_t number = 0;
  {
    const auto store = open_store({disk});
    put(*store, "large", body, 0, {"text/plain", {{"m", "v"}}});
    number = store->find(0, {"bucket", "large"})->extents.front().volume;
  }
  fs::copy(disk, copy, fs::copy_options::recursive);
  const std::string bytes = read_file(volume_path(disk, number));
  const bool keep_index = GENERATE(true, false);
  const std::uint64_t few = step_of(Situation::stale_index, 37);
  for (std::uint64_t at = 0; at < bytes.size(); at += at >= 4096 && at < 4096 + body.size() ? 49'999 : few) {
    fs::remove_all(copy + "/index");
    if (keep_index) fs::copy(disk + "/index", copy + "/index", fs::copy_options::recursive);
    fs::copy_file(disk + "/lock", copy + "/lock", fs::copy_options::overwrite_existing);
    write_file(volume_path(copy, number), bytes);
    flip_byte(volume_path(copy, number), at, static_cast<char>(1 << at % 8));
    INFO("byte " << at << (keep_index ? ", with the index" : ""));
    const auto store = open_bare_store({copy});
    const auto reader = store->open_reader(0, {"bucket", "large"});
    if (!reader) {  // its header is not believed any more, and nothing else knows it
      CHECK((!keep_index && at < 4096 && reader.error().code == ErrorCode::not_found));
      CHECK(!store->disks().front().trouble.empty());
      continue;
    }
    const bool in_data = at >= 4096 && at < 4096 + body.size();
    CHECK(get(*store, "large") == (in_data ? "error: corrupt" : body));
    std::size_t refused = 0;
    for (std::uint64_t begin = 0; begin < body.size(); begin += 65'536) {
      std::string part(std::min<std::size_t>(65'536, body.size() - begin), '?');
      const auto got = (*reader)->read(begin, std::as_writable_bytes(std::span(part.data(), part.size())));
      if (got) CHECK(part == body.substr(begin, part.size()));
      refused += got ? 0 : 1;
    }
    CHECK(refused <= 1);
    if (in_data) CHECK(refused == 1);
  }
}
