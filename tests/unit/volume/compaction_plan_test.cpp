#include "volume/compaction_plan.hpp"

#include <catch2/catch.hpp>

using namespace tarn;
using namespace tarn::volume;

namespace {

constexpr std::uint64_t M = limits::MiB;
using Volumes = GarbageSurvey::Volumes;

VolumeState shared(std::uint64_t size, std::uint64_t dead, std::uint64_t removals = 0, std::uint64_t newest = 0,
                   VolumeKind kind = VolumeKind::sealed) {
  return {kind, size, size - dead - removals, {removals, 0, newest}};
}

struct Chosen {
  std::vector<std::uint64_t> volumes;
  std::vector<Victim> victims;
};
Chosen choose(const Volumes& volumes, const std::vector<std::uint64_t>& files = {}, std::uint64_t room = 1 << 30, bool nearly_full = false,
              const std::set<std::uint64_t>& excluded = {}) {
  Chosen chosen;
  chosen.victims = choose_victims(volumes, GarbageSurvey(volumes, files, excluded), excluded, {1}, room, nearly_full);
  for (const auto& victim : chosen.victims) chosen.volumes.push_back(victim.volume);
  return chosen;
}
using Numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("choose_victims: below the bound nothing is done, above it the emptiest volumes go until a quarter of the bound is free", "[compaction]") {
  CHECK(choose({{1, shared(100 * M, 11 * M)}}).volumes.empty());
  CHECK(choose({{1, shared(100 * M, 13 * M)}}).volumes == Numbers{1});
  CHECK(choose({{1, shared(100 * M, 11 * M)}}, {}, 1 << 30, true).volumes == Numbers{1});  // nearly full: sooner
  const Volumes several{{1, shared(100 * M, 10 * M)}, {2, shared(100 * M, 50 * M)}, {3, shared(100 * M, 30 * M)}, {4, shared(10 * M, 10 * M)}};
  CHECK(choose(several).volumes == Numbers{4, 2, 3});
  CHECK(choose(several).victims.front().copy_bytes == 0);
  CHECK(choose(several).victims.back().copy_bytes == 70 * M);
}

TEST_CASE("choose_victims: on a full disk only what can be copied, above all what needs no copy", "[compaction]") {
  const Volumes several{{1, shared(100 * M, 90 * M)}, {2, shared(100 * M, 96 * M)}, {3, shared(100 * M, 100 * M)}};
  CHECK(choose(several, {}, 0).volumes == Numbers{3});
  CHECK(choose(several, {}, 5 * M).volumes == Numbers{3, 2});
  CHECK(choose(several, {}, 20 * M).volumes == Numbers{3, 2, 1});
}

TEST_CASE("choose_victims: a volume that is being written is sealed when much of it is garbage", "[compaction]") {
  CHECK(choose({{1, shared(100 * M, 30 * M, 0, 0, VolumeKind::open)}}).victims.front().open);
  // A little of one is less wanted than less of a sealed one.
  const Volumes both{{1, shared(100 * M, 20 * M, 0, 0, VolumeKind::open)}, {2, shared(100 * M, 15 * M)}};
  CHECK(choose(both).volumes == Numbers{2});
  CHECK(choose({{1, shared(100 * M, 20 * M, 0, 0, VolumeKind::open)}}).volumes == Numbers{1});
}

TEST_CASE("choose_victims: volumes of one object, damaged ones and those that give back nothing are left alone", "[compaction]") {
  CHECK(choose({{1, {VolumeKind::solo, 0, 100 * M}}, {2, shared(M, M / 2)}}).volumes == Numbers{2});
  CHECK(choose({{1, shared(100 * M, 90 * M)}}, {}, 1 << 30, false, {1}).volumes.empty());
}

TEST_CASE("choose_victims: removals count when no other volume may hold what they remove", "[compaction]") {
  const VolumeState removals = shared(10 * M, 0, 10 * M, 5);
  const Volumes clean{{1, shared(10 * M, 0)}, {5, shared(10 * M, 0)}, {6, removals}};
  CHECK(choose(clean).volumes == Numbers{6});
  CHECK(choose(clean).victims.front().copy_bytes == 0);
  CHECK(choose(clean, {1, 3, 5, 6}).volumes.empty());        // a file that is not known
  CHECK(choose(clean, {1, 5, 6, 7}).volumes == Numbers{6});  // younger than the removals
  const Volumes self{{5, shared(10 * M, M, 9 * M, 5)}};      // what is dead in the same volume goes with it
  CHECK(choose(self).victims.front().copy_bytes == 0);
  const Volumes younger{{6, shared(20 * M, 0, 20 * M, 5)}, {7, shared(100 * M, M)}};
  CHECK(choose(younger).volumes == Numbers{6});
}

TEST_CASE("choose_victims: too many removals that must be kept: the oldest volume that may hold what they remove is cleaned", "[compaction]") {
  const Volumes stuck{{1, shared(100 * M, 0)}, {2, shared(100 * M, M)}, {3, shared(100 * M, M)}, {6, shared(60 * M, 0, 60 * M, 5)}};
  CHECK(choose(stuck).volumes == Numbers{2});
  const Volumes few{{1, shared(100 * M, 0)}, {2, shared(1000 * M, M)}, {6, shared(30 * M, 0, 30 * M, 5)}};
  CHECK(choose(few).volumes.empty());
}
