// placement_simulation.hpp - where many keys go, and how many move, in maps of any size: for a test of bounds and a benchmark.
// Keys and ids of disks come from a seed, so a run can be repeated. Keys are placed, not stored.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.hpp"
#include "placement/placement.hpp"

namespace tarn::tests {

/// `count` disks, `per_node` of them on each node, a rank for each disk.
inline placement::StoreMap simulated_map(std::size_t count, std::size_t per_node, std::uint64_t seed,
                                         const std::function<std::uint64_t(std::size_t)>& weight) {
  placement::StoreMap map;
  for (std::size_t i = 0; i < count; ++i) {
    placement::Disk disk;
    for (std::size_t half = 0; half < 2; ++half) {
      const std::uint64_t bits = base::xxh3_64("disk " + std::to_string(seed) + " " + std::to_string(2 * i + half));
      for (std::size_t b = 0; b < 8; ++b) disk.id.bytes[8 * half + b] = static_cast<std::uint8_t>(bits >> (8 * b));
    }
    disk.weight = weight(i);
    disk.rank = static_cast<RankId>(i);
    disk.directory = "/local/scratch/user-tarn-1234567/rank-" + std::to_string(i);
    map.disks.push_back(disk);
    const std::string node = "nid" + std::to_string(100'000 + i / per_node);
    map.ranks.push_back({static_cast<RankId>(i), node, node, "http://10.100.100.100:40000"});
  }
  return map;
}

/// The same map without some of its disks. Their indices in `map` are true in `gone`.
inline placement::StoreMap without(const placement::StoreMap& map, const std::vector<bool>& gone) {
  placement::StoreMap rest = map;
  rest.disks.clear();
  for (std::size_t i = 0; i < map.disks.size(); ++i)
    if (!gone[i]) rest.disks.push_back(map.disks[i]);
  return rest;
}

class Keys {
 public:
  Keys(std::size_t count, std::uint64_t seed) : count_(count), prefix_("run-" + std::to_string(seed) + "/sample-") {}
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::string at(std::size_t i) const { return prefix_ + std::to_string(i) + ".bin"; }

  /// The index in `map.disks` of each key's home, by as many threads as there are cores.
  [[nodiscard]] std::vector<std::uint32_t> homes(const placement::StoreMap& map) const {
    const placement::Placement placement(map);
    std::vector<std::uint32_t> result(count_);
    const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < threads; ++t)
      workers.emplace_back([&, t] {
        for (std::size_t i = t; i < count_; i += threads) result[i] = static_cast<std::uint32_t>(placement.home_disk("bucket", at(i)));
      });
    for (auto& worker : workers) worker.join();
    return result;
  }

 private:
  std::size_t count_;
  std::string prefix_;
};

/// How far the shares of disks are from what their weights say.
struct Balance {
  double deviations_max = 0;  ///< largest |keys - expected| of any disk, in standard deviations of the binomial distribution
  double fill_max = 0;        ///< largest keys / expected: when the fullest disk is full, the store holds 1 / fill_max of its capacity
  double chi_deviations = 0;  ///< Pearson's statistic, in standard deviations from its mean
};

inline Balance balance_of(const placement::StoreMap& map, const std::vector<std::uint32_t>& homes) {
  std::vector<double> counts(map.disks.size());
  for (const std::uint32_t home : homes) ++counts[home];
  double weights = 0;
  for (const auto& disk : map.disks) weights += static_cast<double>(disk.weight);
  Balance balance;
  double chi_square = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double share = static_cast<double>(map.disks[i].weight) / weights;
    const double expected = static_cast<double>(homes.size()) * share;
    const double difference = counts[i] - expected;
    balance.deviations_max = std::max(balance.deviations_max, std::abs(difference) / std::sqrt(expected * (1 - share)));
    balance.fill_max = std::max(balance.fill_max, counts[i] / expected);
    chi_square += difference * difference / expected;
  }
  const auto freedom = static_cast<double>(counts.size() - 1);
  balance.chi_deviations = (chi_square - freedom) / std::sqrt(2 * freedom);
  return balance;
}

/// What a change of the map moves.
struct Moves {
  std::size_t moved = 0;
  std::size_t needless = 0;  ///< from a disk that stays to another that was there before
  double expected = 0;       ///< keys times the share of the weight that came or went
  double deviations = 0;     ///< of `moved` from `expected`, in standard deviations of the binomial distribution
  double receiver_max = 0;   ///< most keys that one disk has taken over
  double receiver_mean = 0;  ///< of those that could
};

/// Disks of `before` and `after` are the same when their ids are. Either `after` has more of them or `before` has.
inline Moves moves_between(const placement::StoreMap& before, const std::vector<std::uint32_t>& homes_before, const placement::StoreMap& after,
                           const std::vector<std::uint32_t>& homes_after) {
  const auto& larger = before.disks.size() > after.disks.size() ? before : after;
  const auto& smaller = before.disks.size() > after.disks.size() ? after : before;
  const auto less = [](const base::Uuid& a, const base::Uuid& b) { return a < b; };
  std::vector<base::Uuid> common;
  for (const auto& disk : smaller.disks) common.push_back(disk.id);
  std::sort(common.begin(), common.end(), less);
  const auto stays = [&](const base::Uuid& id) { return std::binary_search(common.begin(), common.end(), id, less); };
  double changed = 0, weights = 0;
  for (const auto& disk : larger.disks) {
    weights += static_cast<double>(disk.weight);
    if (!stays(disk.id)) changed += static_cast<double>(disk.weight);
  }
  Moves moves;
  std::vector<double> received(after.disks.size());
  for (std::size_t i = 0; i < homes_before.size(); ++i) {
    const auto& from = before.disks[homes_before[i]];
    const auto& to = after.disks[homes_after[i]];
    if (from.id == to.id) continue;
    ++moves.moved;
    ++received[homes_after[i]];
    if (stays(from.id) && stays(to.id)) ++moves.needless;
  }
  const double share = changed / weights;
  const auto keys = static_cast<double>(homes_before.size());
  moves.expected = keys * share;
  moves.deviations = (static_cast<double>(moves.moved) - moves.expected) / std::sqrt(moves.expected * (1 - share));
  const std::size_t receivers = before.disks.size() > after.disks.size() ? after.disks.size() : after.disks.size() - before.disks.size();
  moves.receiver_max = *std::max_element(received.begin(), received.end());
  moves.receiver_mean = static_cast<double>(moves.moved) / static_cast<double>(receivers);
  return moves;
}

}  // namespace tarn::tests
