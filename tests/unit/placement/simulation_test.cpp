// simulation_test.cpp - balance and moved keys of a store of 200 disks. Bounds come from the binomial distribution: a disk of share p
// gets keys * p, with a standard deviation of sqrt(keys * p * (1 - p)). tests/bench/placement_scale does the same for 10,000 disks.
#include <cstdint>

#include <catch2/catch.hpp>

#include "support/placement_simulation.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

constexpr std::size_t kDisks = 200, kPerNode = 8, kKeys = 40'000;
constexpr std::uint64_t kSeed = 1;

/// Of 200 disks, the farthest is beyond 4.5 standard deviations in one of 700 seeds; this seed is one of the others, for ever.
constexpr double kDiskDeviationsMax = 4.5;
constexpr double kSumDeviationsMax = 4;

std::uint64_t weight_of(bool equal, std::size_t i) {
  return equal ? 1'000'000'000'000 : 960'197'124'096ULL << (i % 3);
}

}  // namespace

TEST_CASE("Placement in a large store: shares, and what moves when disks come, go and are lost", "[placement][simulation]") {
  const bool equal = GENERATE(true, false);
  INFO("seed " << kSeed << (equal ? ", equal" : ", unequal") << " weights");
  const auto weight = [&](std::size_t i) { return weight_of(equal, i); };
  const Keys keys(kKeys, kSeed);
  const auto map = simulated_map(kDisks, kPerNode, kSeed, weight);
  const auto homes = keys.homes(map);

  const Balance balance = balance_of(map, homes);
  CHECK(balance.deviations_max < kDiskDeviationsMax);
  CHECK(std::abs(balance.chi_deviations) < kSumDeviationsMax);

  const auto check = [&](const placement::StoreMap& after) {
    const Moves moves = moves_between(map, homes, after, keys.homes(after));
    CHECK(moves.needless == 0);
    CHECK(std::abs(moves.deviations) < kSumDeviationsMax);
    // What one disk takes over is a draw from those that moved; the largest share of the weight of those that could take it is below 2.5 / number.
    CHECK(moves.receiver_max < 2.5 * moves.receiver_mean + 5 * std::sqrt(2.5 * moves.receiver_mean));
  };
  SECTION("10 more disks") {
    check(simulated_map(kDisks + 10, kPerNode, kSeed, weight));
  }
  SECTION("a node is lost") {
    std::vector<bool> gone(kDisks);
    for (std::size_t i = 0; i < kPerNode; ++i) gone[i] = true;
    check(without(map, gone));
  }
  SECTION("every tenth disk is taken away") {
    std::vector<bool> gone(kDisks);
    for (std::size_t i = 0; i < kDisks; i += 10) gone[i] = true;
    check(without(map, gone));
  }
}
