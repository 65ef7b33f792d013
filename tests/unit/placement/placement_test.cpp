// placement_test.cpp - golden values, balance, weights and minimal movement of lib/placement.
// All random choices come from counters: every run sees the same maps and names.
#include "placement/placement.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "base/hash.hpp"
#include "placement/log2_table.hpp"

using namespace tarn;
using namespace tarn::placement;

namespace {

/// Disk i has the id 00..00 + big-endian (first + i).
StoreMap make_map(std::size_t count, const std::function<std::uint64_t(std::size_t)>& weight, std::size_t first = 0) {
  StoreMap map;
  for (std::size_t i = 0; i < count; ++i) {
    Disk disk;
    for (std::size_t k = 0; k < 8; ++k) disk.id.bytes[15 - k] = static_cast<std::uint8_t>((first + i) >> (8 * k));
    disk.weight = weight(i);
    map.disks.push_back(disk);
  }
  return map;
}

std::string key_of(std::size_t i) {
  return "images/class-" + std::to_string(i % 100) + "/" + std::to_string(i) + ".png";
}

std::vector<std::size_t> count_homes(const StoreMap& map, std::size_t keys) {
  const Placement placement(map);
  std::vector<std::size_t> counts(map.disks.size());
  for (std::size_t i = 0; i < keys; ++i) ++counts[placement.home_disk("raw", key_of(i))];
  return counts;
}

/// Pearson's statistic, as the number of standard deviations from its mean (normal for many cells).
double chi_square_deviations(const std::vector<std::size_t>& counts, const StoreMap& map, std::size_t keys) {
  double total_weight = 0;
  for (const Disk& disk : map.disks) total_weight += static_cast<double>(disk.weight);
  double chi_square = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = static_cast<double>(keys) * static_cast<double>(map.disks[i].weight) / total_weight;
    chi_square += (static_cast<double>(counts[i]) - expected) * (static_cast<double>(counts[i]) - expected) / expected;
  }
  const auto freedom = static_cast<double>(counts.size() - 1);
  return (chi_square - freedom) / std::sqrt(2 * freedom);
}

struct Golden {
  const char* name;
  StoreMap map;
  std::vector<std::vector<std::size_t>> rankings;  ///< first four disks of each name below
};

// Printed by reference.py, which computes in 60 decimal digits. If this fails, the hash has changed and every
// store in use would look for its objects on the wrong disks: change the format version, not these numbers.
const std::vector<std::pair<std::string, std::string>> kNames{
    {"raw", "a.png"},    {"raw", "b.png"}, {"train", "shard-000017.tar"}, {"raw", "ünï/çødé"}, {"a.b-c", std::string(1024, 'k')}, {"raw", "x"},
    {"raw", "dir/0001"}, {"war", "a.png"}};

std::vector<Golden> golden_tables() {
  return {
      {"equal, 5 disks",
       make_map(5, [](std::size_t) { return 1000; }),
       {{3, 4, 2, 0}, {4, 3, 0, 1}, {0, 2, 1, 4}, {2, 1, 3, 0}, {3, 2, 0, 4}, {3, 1, 2, 4}, {2, 0, 1, 4}, {3, 1, 2, 0}}},
      {"equal, 1000 disks",
       make_map(1000, [](std::size_t) { return 1ULL << 40; }),
       {{755, 848, 727, 219},
        {481, 498, 580, 380},
        {444, 107, 561, 994},
        {791, 861, 892, 216},
        {980, 641, 214, 442},
        {867, 797, 421, 157},
        {73, 119, 144, 621},
        {977, 219, 638, 786}}},
      {"weights 1 to 7, 64 disks",
       make_map(64, [](std::size_t i) { return 1 + i % 7; }),
       {{26, 60, 24, 17},
        {34, 6, 31, 24},
        {27, 18, 60, 62},
        {55, 18, 31, 61},
        {34, 31, 12, 52},
        {3, 30, 60, 57},
        {26, 17, 55, 42},
        {27, 48, 39, 38}}},
      {"terabytes, 100 disks",
       make_map(100, [](std::size_t i) { return 960197124096ULL * (1 + i % 3); }),
       {{26, 65, 67, 17},
        {67, 88, 83, 78},
        {71, 80, 38, 86},
        {55, 89, 65, 18},
        {31, 34, 52, 98},
        {3, 57, 30, 14},
        {73, 17, 42, 26},
        {77, 38, 27, 56}}},
  };
}

}  // namespace

TEST_CASE("Placement: golden homes and rankings never change", "[placement]") {
  for (const Golden& golden : golden_tables()) {
    const Placement placement(golden.map);
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      INFO(golden.name << ", name " << i);
      const auto& [bucket, key] = kNames[i];
      CHECK(placement.home_disk(bucket, key) == golden.rankings[i][0]);
      CHECK(placement.ranking(bucket, key, 4) == golden.rankings[i]);
      CHECK(home_disk(golden.map, bucket, key) == golden.rankings[i][0]);
    }
  }
}

TEST_CASE("negative_log2: close to the real logarithm, exact at powers of two, never growing", "[placement]") {
  const double unit = std::ldexp(1.0, kLogFractionBits);
  for (unsigned power = 0; power < 64; ++power) CHECK(negative_log2(1ULL << power) == static_cast<std::uint64_t>(64 - power) << kLogFractionBits);
  std::uint64_t previous = UINT64_MAX;
  std::vector<std::uint64_t> fractions{1, 2, 3, UINT64_MAX - 1, UINT64_MAX};
  for (std::uint64_t i = 0; i < 20000; ++i) fractions.push_back(base::xxh3_64(std::to_string(i)) >> (i % 40));
  std::sort(fractions.begin(), fractions.end());
  for (const std::uint64_t fraction : fractions) {
    if (fraction == 0) continue;
    const std::uint64_t value = negative_log2(fraction);
    REQUIRE(value <= previous);
    previous = value;
    const double real = -std::log1p(-std::ldexp(static_cast<double>(UINT64_MAX - fraction) + 1, -64)) / std::log(2.0);
    if (fraction > 1ULL << 63) {
      REQUIRE(std::abs(static_cast<double>(value) / unit - real) <= std::min(2e-7, real * 6e-4) + 1e-15);
    } else {
      REQUIRE(static_cast<double>(value) / unit == Approx(64 - std::log2(static_cast<double>(fraction))).margin(2e-7));
    }
  }
}

TEST_CASE("Placement: equal disks get equal shares", "[placement]") {
  const std::size_t keys = 1'000'000;
  const StoreMap map = make_map(1000, [](std::size_t) { return 1; });
  const auto counts = count_homes(map, keys);
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  CHECK(*least > 1000 * 0.86);  // 4.5 standard deviations of 1,000 draws
  CHECK(*most < 1000 * 1.14);
  CHECK(std::abs(chi_square_deviations(counts, map, keys)) < 4);
}

TEST_CASE("Placement: shares follow the weights", "[placement]") {
  const std::size_t keys = 400'000;
  SECTION("1 to 7") {
    const StoreMap map = make_map(70, [](std::size_t i) { return 1 + i % 7; });
    CHECK(std::abs(chi_square_deviations(count_homes(map, keys), map, keys)) < 4);
  }
  SECTION("one disk of 1,000 times the weight among 1,000") {
    const StoreMap map = make_map(1001, [](std::size_t i) { return i == 500 ? 1000ULL << 30 : 1ULL << 30; });
    const auto counts = count_homes(map, keys);
    CHECK(static_cast<double>(counts[500]) == Approx(200'000).epsilon(0.01));
    CHECK(std::abs(chi_square_deviations(counts, map, keys)) < 4);
  }
  SECTION("weights of 2^63 do not overflow") {
    const StoreMap map = make_map(4, [](std::size_t i) { return i < 2 ? 1ULL << 63 : 1ULL << 62; });
    CHECK(std::abs(chi_square_deviations(count_homes(map, keys), map, keys)) < 4);
  }
}

TEST_CASE("Placement: a new disk takes its share and nothing else moves", "[placement]") {
  const bool weighted = GENERATE(false, true);
  const auto weight = [&](std::size_t i) -> std::uint64_t { return weighted ? 1 + i % 5 : 3; };
  const StoreMap before = make_map(1200, weight);
  const StoreMap after = make_map(1201, weight);
  const Placement old_placement(before);
  const Placement new_placement(after);
  const std::size_t keys = 100'000;
  std::size_t moved = 0;
  for (std::size_t i = 0; i < keys; ++i) {
    const std::string key = key_of(i);
    const std::size_t from = old_placement.home_disk("raw", key);
    const std::size_t to = new_placement.home_disk("raw", key);
    if (from == to) continue;
    ++moved;
    REQUIRE(to == 1200);
  }
  double total = 0;
  for (const Disk& disk : after.disks) total += static_cast<double>(disk.weight);
  const double expected = static_cast<double>(keys) * static_cast<double>(after.disks.back().weight) / total;
  CHECK(std::abs(static_cast<double>(moved) - expected) < 4 * std::sqrt(expected));
}

TEST_CASE("Placement: when a disk goes, its keys go to the next in their ranking and nothing else moves", "[placement]") {
  const StoreMap before = make_map(1100, [](std::size_t i) { return 1 + i % 3; });
  const std::size_t gone = 700;
  StoreMap after = before;
  after.disks.erase(after.disks.begin() + static_cast<std::ptrdiff_t>(gone));
  const Placement old_placement(before);
  const Placement new_placement(after);
  for (std::size_t i = 0; i < 100'000; ++i) {
    const std::string key = key_of(i);
    std::size_t expected = old_placement.home_disk("raw", key);
    if (expected == gone) expected = old_placement.ranking("raw", key, 2)[1];
    const std::size_t index = new_placement.home_disk("raw", key);
    REQUIRE(after.disks[index].id == before.disks[expected].id);
  }
}

TEST_CASE("Placement: ranking is a permutation that begins with the home", "[placement]") {
  const bool weighted = GENERATE(false, true);
  for (const std::size_t disks : {1U, 2U, 3U, 17U}) {
    const StoreMap map = make_map(disks, [&](std::size_t i) -> std::uint64_t { return weighted ? 1 + i : 9; });
    const Placement placement(map);
    for (std::size_t i = 0; i < 500; ++i) {
      auto ranking = placement.ranking("raw", key_of(i), 100);
      REQUIRE(ranking.size() == disks);
      REQUIRE(ranking.front() == placement.home_disk("raw", key_of(i)));
      std::sort(ranking.begin(), ranking.end());
      for (std::size_t d = 0; d < disks; ++d) REQUIRE(ranking[d] == d);
    }
    CHECK(placement.ranking("raw", "x", 0).empty());
  }
}

TEST_CASE("Placement: the border between bucket and key counts", "[placement]") {
  const StoreMap map = make_map(1000, [](std::size_t) { return 1; });
  const Placement placement(map);
  std::size_t same = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    const std::string tail = std::to_string(i);
    same += placement.home_disk("raw", "a" + tail) == placement.home_disk("rawa", tail) ? 1 : 0;
  }
  CHECK(same < 5);
}

TEST_CASE("Placement: keys of one bucket that share a tag share their disks; a tag of nothing is none", "[placement]") {
  CHECK(placement_tag("a/{run7}/x") == "run7");
  CHECK(placement_tag("{run7}") == "run7");
  CHECK(placement_tag("a{b}c{d}") == "b");
  CHECK(placement_tag("a{{b}}") == "{b");
  for (const char* const key : {"", "{", "}", "{}", "a{}b{c}", "}{", "a{b"}) CHECK(placement_tag(key) == key);
  const StoreMap map = make_map(17, [](std::size_t i) { return 1000 + i % 3; });
  const Placement placement(map);
  std::set<std::size_t> homes;
  for (std::size_t run = 0; run < 40; ++run) {
    const std::string tag = "{run" + std::to_string(run) + "}";
    const auto order = placement.ranking("raw", tag + "/0", 17);
    for (std::size_t i = 0; i < 20; ++i) {
      CHECK(placement.home_disk("raw", "t" + std::to_string(i) + "/" + tag + key_of(i)) == order.front());
      CHECK(placement.ranking("raw", key_of(i) + tag, 17) == order);
    }
    homes.insert(order.front());
  }
  CHECK(homes.size() > 10);  // different tags are spread
}

namespace {

/// `disks` disks of each of `ranks` ranks, `ranks_per_node` of them on a node.
StoreMap make_cluster(int ranks, int ranks_per_node, std::size_t disks) {
  StoreMap map = make_map(static_cast<std::size_t>(ranks) * disks, [](std::size_t i) { return 1000 + i % 2; });
  for (int r = 0; r < ranks; ++r) map.ranks.push_back({r, "host", "node" + std::to_string(r / ranks_per_node), ""});
  for (std::size_t i = 0; i < map.disks.size(); ++i) map.disks[i].rank = static_cast<RankId>(i) % ranks;
  return map;
}

}  // namespace

TEST_CASE("Placement.holders: distinct nodes, then distinct ranks, then distinct disks; the home first", "[placement]") {
  const auto distinct = [](const StoreMap& map, const std::vector<std::size_t>& holders, const auto& what) {
    std::set<std::decay_t<decltype(what(map.disks[0]))>> seen;
    for (const std::size_t disk : holders) seen.insert(what(map.disks[disk]));
    return seen.size();
  };
  for (const auto& [ranks, per_node, disks] :
       {std::tuple{6, 2, 2}, std::tuple{4, 1, 1}, std::tuple{3, 3, 2}, std::tuple{1, 1, 4}, std::tuple{5, 2, 1}}) {
    const StoreMap map = make_cluster(ranks, per_node, static_cast<std::size_t>(disks));
    const Placement placement(map);
    const auto nodes = static_cast<std::size_t>((ranks + per_node - 1) / per_node);
    for (std::size_t copies = 1; copies <= 5; ++copies) {
      for (std::size_t i = 0; i < 200; ++i) {
        const auto holders = placement.holders("raw", key_of(i), copies);
        INFO(ranks << " ranks, " << copies << " copies, key " << i);
        REQUIRE(holders.size() == std::min(copies, map.disks.size()));
        CHECK(holders.front() == placement.home_disk("raw", key_of(i)));
        CHECK(distinct(map, holders, [&](const Disk& disk) { return map.ranks[static_cast<std::size_t>(disk.rank)].node; }) ==
              std::min(copies, nodes));
        CHECK(distinct(map, holders, [](const Disk& disk) { return disk.rank; }) == std::min(copies, static_cast<std::size_t>(ranks)));
        CHECK(distinct(map, holders, [](const Disk& disk) { return disk.id; }) == holders.size());
      }
    }
  }
}

TEST_CASE("Placement.holders: a disk that goes takes only its own copies with it", "[placement]") {
  const StoreMap before = make_cluster(8, 1, 1);
  const Placement all(before);
  for (std::size_t lost = 0; lost < before.disks.size(); ++lost) {
    StoreMap after = before;
    after.disks.erase(after.disks.begin() + static_cast<std::ptrdiff_t>(lost));
    const Placement rest(after);
    for (std::size_t i = 0; i < 300; ++i) {
      auto kept = all.holders("raw", key_of(i), 2);
      const bool touched = std::erase(kept, lost) > 0;
      std::vector<base::Uuid> old_ids, new_ids;
      for (const std::size_t disk : kept) old_ids.push_back(before.disks[disk].id);
      for (const std::size_t disk : rest.holders("raw", key_of(i), 2)) new_ids.push_back(after.disks[disk].id);
      if (touched) {
        CHECK(new_ids.front() == old_ids.front());  // the copy that is left is where one looks first
      } else {
        CHECK(new_ids == old_ids);
      }
    }
  }
}

TEST_CASE("Placement.disk_of_rank: one of its disks, the same each time; none of a client", "[placement]") {
  StoreMap map = make_cluster(3, 1, 2);
  map.ranks.push_back({3, "host", "client", ""});
  const Placement placement(map);
  for (std::size_t i = 0; i < 100; ++i) {
    for (RankId rank = 0; rank < 3; ++rank) CHECK(map.disks[placement.disk_of_rank("raw", key_of(i), rank).value()].rank == rank);
    CHECK_FALSE(placement.disk_of_rank("raw", key_of(i), 3));
  }
}
