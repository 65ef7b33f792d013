// settle_failure_test.cpp - rebalance and repair when something fails on one rank, whichever rank and wherever that is: the same error on every
// rank, nobody waits, nothing is lost, and the next one puts everything in its place.
#include <functional>
#include <stdexcept>
#include <thread>

#include "settle_world.hpp"
#include "support/allocations.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

const std::atomic<bool> kNever{false};

bool has_service_thread() {
  int level = 0;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

/// What all ranks run together, over their collective calls.
using Work = std::function<Result<void>(mpi::SettleContext&)>;

Result<void> rebalance(mpi::SettleContext& context) {
  return mpi::settle(context, {}, {}, kNever).map([](const auto&) {});
}

Result<void> run(SettleWorld& world, mpi::Collectives& ranks, const Work& work) {
  const mpi::ApplicationCall call;
  auto context = world.context(ranks);
  return work(context);
}

void check_next_one(SettleWorld& world) {
  world.check_nothing_lost();
  REQUIRE(common_outcome(world.store, world.store.rebalance()) == "");
  world.check_settled();
  world.reopen();
  world.check_settled();
  REQUIRE(failure(world.store.close()) == "");
}

}  // namespace

TEST_CASE("rebalance: an error of any rank, wherever the ranks agree, is everybody's, and the next one goes on", "[rebalance]") {
  if (world_size() > 4) return;
  SettleWorld world;
  const std::vector<std::pair<std::string, Work>> works = {
      {"rebalance", rebalance},
      {"counting copies", [](mpi::SettleContext& context) { return mpi::count_missing_copies(context, kNever); }},
      {"making copies", [](mpi::SettleContext& context) { return mpi::make_copies(context, "safe"); }},
  };
  for (const auto& [operation, work] : works) {
    for (int failing = 0; failing < world_size(); ++failing) {
      int at = 0;
      for (;; ++at) {
        INFO(operation << ": rank " << failing << ", agreement " << at);
        world.disturb();
        SparedCollectives ranks(world.collectives());
        int agreements = 0;
        ranks.before_agree = [&](Result<void> mine) -> Result<void> {
          const bool now = agreements++ == at && world_rank() == failing;
          return mine && now ? fail(ErrorCode::no_space, "the disk is full (test)") : std::move(mine);
        };
        const std::string outcome = common_outcome(world.store, run(world, ranks, work));
        if (agreements <= at) {  // all of them have had their turn
          CHECK(outcome == "");
          break;
        }
        CHECK(agreements == at + 1);  // none after it
        CHECK(outcome == "no_space: the disk is full (test) [rank " + std::to_string(failing) + "]");
        world.check_nothing_lost();
      }
      if (operation != "making copies" || world.mirror() > 1) CHECK(at > 3);
    }
  }
  check_next_one(world);
}

TEST_CASE("rebalance: what is thrown on any rank, and a wish to stop, end it everywhere, and the next one goes on", "[rebalance]") {
  if (world_size() > 4) return;
  SettleWorld world;
  int waited = 0;
  for (int failing = 0; failing < world_size(); ++failing) {
    const bool mine = world_rank() == failing;
    const std::string at = " [rank " + std::to_string(failing) + "]";
    const auto outcome_of = [&](const Work& work) {
      world.disturb();
      const std::string outcome = common_outcome(world.store, run(world, world.collectives(), work));
      world.check_nothing_lost();
      return outcome;
    };
    CHECK(outcome_of([&](mpi::SettleContext& context) {
            const RebalanceProgressFn progress = [&](const RebalanceReport&) {
              if (mine) throw std::length_error("progress (test)");
            };
            return mpi::settle(context, {}, progress, kNever).map([](const auto&) {});
          }) == "internal: rebalance: progress (test)" + at);
    waited += outcome_of([&](mpi::SettleContext& context) {  // for its turn by the rate, when it has two objects to copy
                if (mine) context.pause = [](std::chrono::milliseconds) { throw 42; };
                return mpi::settle(context, {std::uint64_t{mine}}, {}, kNever).map([](const auto&) {});
              }) == "internal: rebalance: an exception of an unknown type" + at;
    CHECK(outcome_of([&](mpi::SettleContext& context) {
            const std::atomic<bool> stop{mine};
            return mpi::settle(context, {}, {}, stop).map([](const auto&) {});
          }) == "aborted: rebalance was stopped; what has been moved stays, and the next one goes on from there" + at);
  }
  CHECK(waited > 0);
  check_next_one(world);
}

TEST_CASE("rebalance: out of memory on any rank, at any of its allocations, is everybody's error", "[rebalance][memory]") {
  if (world_size() > 3 || !has_service_thread()) return;  // a rank that answers in the same thread would also lack memory for the others
  SettleWorld world;
  for (int failing = 0; failing < world_size(); ++failing) {
    std::size_t failures = 0;
    bool happened = true;
    for (std::uint64_t good = 0; happened; good += 1 + good / 8) {
      INFO("rank " << failing << " after " << good << " good allocations");
      world.disturb();
      SparedCollectives ranks(world.collectives());
      Result<void> outcome;
      {
        std::optional<FailingAllocation> fault;
        if (world_rank() == failing) fault.emplace(good);
        outcome = run(world, ranks, rebalance);
        const SparedAllocations none;
        happened = fault && fault->happened();
      }
      happened = all_values(world.store, happened ? 1 : 0)[static_cast<std::size_t>(failing)] != 0;
      const std::string common = common_outcome(world.store, outcome);
      world.check_nothing_lost();
      if (common.empty()) continue;
      ++failures;
      CHECK(happened);
      CHECK_THAT(common, Catch::StartsWith("no_space:") && Catch::Contains("out of memory"));
      CHECK(outcome.error().rank == failing);
    }
    CHECK(failures > 20);
  }
  check_next_one(world);
}

TEST_CASE("rebalance: a disk of any rank that is full or fails, from any of its calls on, is everybody's error", "[rebalance][disks]") {
  if (world_size() > 4) return;
  SettleWorld world;
  for (const int error : {ENOSPC, EIO}) {
    for (int failing = 0; failing < world_size(); ++failing) {
      std::size_t failures = 0;
      bool met = true;
      for (std::uint64_t at = 0; met; at += 1 + at / 3) {
        INFO("errno " << error << ", rank " << failing << ", call " << at);
        world.disturb();
        if (world_rank() == failing) world.plan.begin({at, true, error});
        const auto outcome = run(world, world.collectives(), rebalance);
        world.plan.end();
        met = all_values(world.store, world.plan.met().empty() ? 0 : 1)[static_cast<std::size_t>(failing)] != 0;
        const std::string common = common_outcome(world.store, outcome);
        world.check_nothing_lost();
        if (common.empty()) continue;
        ++failures;
        CHECK_THAT(common, Catch::StartsWith(error == ENOSPC ? "no_space:" : "io:") && Catch::Contains("(injected)"));
        CHECK(outcome.error().rank == failing);  // also when another one had it in its way
      }
      CHECK(failures > 2);
    }
  }
  check_next_one(world);
}

TEST_CASE("rebalance: of two that begin at once, and come to the ranks in any order, one goes on", "[rebalance]") {
  if (world_size() < 2 || world_size() > 4 || !has_service_thread()) return;
  SettleWorld world;
  mpi::Comm comms[] = {mpi::Comm::duplicate(MPI_COMM_WORLD).value(), mpi::Comm::duplicate(MPI_COMM_WORLD).value()};
  int refused = 0;
  for (int round = 0; round < 40; ++round) {
    Result<void> outcomes[2];
    const auto begin = [&](int which) {
      const mpi::ApplicationCall call;
      mpi::MpiCollectives ranks(StoreAccess::impl(world.store)->engine(), comms[which]);
      auto context = world.context(ranks);
      outcomes[which] = rebalance(context);
    };
    const int here_first = (world_rank() + round) % 2;
    std::thread one([&] { begin(here_first); });
    begin(1 - here_first);
    one.join();
    for (const auto& outcome : outcomes) {
      const std::string common = common_outcome(world.store, outcome);
      if (common.empty()) continue;
      ++refused;
      CHECK_THAT(common, Catch::StartsWith("busy: another rebalance"));
    }
    INFO("round " << round);
    CHECK((outcomes[0] || outcomes[1]));
  }
  CHECK(refused > 0);  // else they did not meet
  world.check_settled();
  REQUIRE(failure(world.store.close()) == "");
}
