#include "plan/copy_plan.hpp"

#include <algorithm>
#include <random>
#include <string>

#include <catch2/catch.hpp>

using namespace tarn::plan;

namespace {

using Places = std::vector<std::size_t>;

struct Cluster {
  std::vector<std::int64_t> disks;  // the version on each; the first `holders` of them are the holders
  std::size_t holders = 0;
};

/// One round: every disk that has the object looks at the holders as they are at that moment, in this order.
void run(Cluster& cluster, const std::vector<std::size_t>& order, bool killed_before_removals) {
  for (const std::size_t disk : order) {
    if (cluster.disks[disk] == kNoVersion) continue;
    const auto place = disk < cluster.holders ? std::optional(disk) : std::nullopt;
    const auto verdict = judge_copy(cluster.disks[disk], place, std::span(cluster.disks).first(cluster.holders));
    for (const std::size_t to : verdict.copy_to) cluster.disks[to] = std::max(cluster.disks[to], cluster.disks[disk]);
    if (verdict.remove && !killed_before_removals) cluster.disks[disk] = kNoVersion;
  }
}

}  // namespace

TEST_CASE("copy plan: the verdicts", "[plan]") {
  const std::int64_t none = kNoVersion;
  // In its place alone; the others lack it or have an older one.
  CHECK(judge_copy(5, 0, std::vector<std::int64_t>{5, none, 4}).copy_to == Places{1, 2});
  CHECK_FALSE(judge_copy(5, 0, std::vector<std::int64_t>{5, none, 4}).remove);
  // The first that has it sees to it, the others do nothing.
  CHECK(judge_copy(5, 1, std::vector<std::int64_t>{5, 5, none}).copy_to.empty());
  CHECK(judge_copy(5, 1, std::vector<std::int64_t>{4, 5, none}).copy_to == Places{0, 2});
  CHECK(judge_copy(4, 0, std::vector<std::int64_t>{4, 5, none}).copy_to.empty());
  // Out of place: the only one goes to all holders; where one has it already, that one sees to the others, and this copy waits for them.
  const auto only = judge_copy(5, std::nullopt, std::vector<std::int64_t>{none, 4});
  CHECK(only.copy_to == Places{0, 1});
  CHECK(only.remove);
  const auto spare = judge_copy(5, std::nullopt, std::vector<std::int64_t>{5, none});
  CHECK(spare.copy_to.empty());
  CHECK_FALSE(spare.remove);
  for (const auto& holders : {std::vector<std::int64_t>{5, 5}, {6, none}}) {
    CHECK(judge_copy(5, std::nullopt, holders).copy_to.empty());
    CHECK(judge_copy(5, std::nullopt, holders).remove);
  }
}

TEST_CASE("copy plan: whatever lies where, after two rounds all holders have the newest version and nobody else has one", "[plan]") {
  std::mt19937_64 random(20260131);
  for (int trial = 0; trial < 20'000; ++trial) {
    Cluster cluster{std::vector<std::int64_t>(2 + random() % 6), 0};
    cluster.holders = 1 + random() % std::min<std::size_t>(3, cluster.disks.size());
    for (auto& version : cluster.disks) version = random() % 2 == 0 ? kNoVersion : static_cast<std::int64_t>(random() % 3);
    const std::int64_t newest = *std::max_element(cluster.disks.begin(), cluster.disks.end());
    std::vector<std::size_t> order(cluster.disks.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    if (random() % 4 == 0) {  // a first run that is killed on its way loses nothing
      run(cluster, {order.begin(), order.begin() + static_cast<std::ptrdiff_t>(random() % order.size())}, random() % 2 == 0);
      REQUIRE(*std::max_element(cluster.disks.begin(), cluster.disks.end()) == newest);
      std::shuffle(order.begin(), order.end(), random);
    }
    const auto copies = [&] { return std::count(cluster.disks.begin(), cluster.disks.end(), newest); };
    const auto before = copies();
    run(cluster, order, false);
    REQUIRE(copies() >= std::min<std::ptrdiff_t>(before, static_cast<std::ptrdiff_t>(cluster.holders)));  // never fewer on the way
    run(cluster, order, false);
    for (std::size_t disk = 0; disk < cluster.disks.size(); ++disk) {
      INFO("trial " << trial << ", disk " << disk);
      REQUIRE(cluster.disks[disk] == (disk < cluster.holders ? newest : kNoVersion));
    }
  }
}
