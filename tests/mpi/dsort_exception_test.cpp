// dsort_exception_test.cpp - dsort when something throws on one rank, wherever that is: the same error on every rank, and the store as it was.
#include <catch2/catch.hpp>

#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

#include "dsort_fixture.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// The same error everywhere, and nothing left.
void check_undone(DsortWorld& world, const Result<DsortReport>& outcome, ErrorCode code) {
  REQUIRE(!outcome);
  INFO(outcome.error().message);
  CHECK(outcome.error().code == code);
  CHECK(!world.has_bucket("output"));
  CHECK(world.temporary_files() == 0);
}

void remove_output(DsortWorld& world) {
  for (auto& store : world.stores) {
    std::vector<std::pair<std::uint32_t, std::string>> shards;
    REQUIRE(store->for_each("output", "", [&](const object::StoredObject& object) {
      shards.emplace_back(object.disk, object.info.key);
      return true;
    }));
    for (const auto& [disk, key] : shards) REQUIRE(store->remove(disk, {"output", key}));
    REQUIRE(store->remove_bucket("output"));
  }
}

}  // namespace

TEST_CASE("dsort: out of memory on one rank, at any of its allocations, is everybody's error", "[dsort]") {
  const bool loose = GENERATE(false, true);
  const RankId failing = GENERATE(0, 2);
  DsortWorld world(3);
  Objects objects = loose ? Objects{} : make_shards(21, 5, 12, 2000);
  for (int i = 0; i < 40 && loose; ++i) objects["class" + std::to_string(i % 3) + "/" + std::to_string(i) + ".jpg"] = std::string(500, 'x');
  world.put_all("input", objects);
  DsortSpec spec = shuffle_spec();
  spec.shard_size_bytes = 20'000;
  bool ended = false;
  std::size_t failures = 0;
  for (std::uint64_t good = 0; !ended; good += 1 + good / 40) {
    world.around = [&](RankId rank, const std::function<Result<DsortReport>()>& run) {
      if (rank != failing) return run();
      const FailingAllocation fault(good);
      auto outcome = run();
      const SparedAllocations none;
      ended = !fault.happened();
      return outcome;
    };
    const auto outcome = world.dsort(spec);
    INFO("loose " << loose << " rank " << failing << " after " << good << " good allocations");
    if (outcome) {  // none failed any more, or there was another way
      remove_output(world);
      continue;
    }
    ++failures;
    CHECK_THAT(outcome.error().message, Catch::Contains("out of memory"));
    check_undone(world, outcome, ErrorCode::no_space);
  }
  CHECK(failures > 30);
  CHECK(world.objects("input") == objects);
}

TEST_CASE("dsort: what callbacks and readers throw is everybody's error", "[dsort]") {
  DsortWorld world(3);
  world.put_all("input", make_shards(22, 6, 30));
  SECTION("the reader of other ranks' bytes") {
    std::atomic<int> reads{0};
    world.fetcher.before_read = [&] {
      if (++reads == 10) throw std::length_error("too long (test)");
    };
    const auto outcome = world.dsort(shuffle_spec());
    check_undone(world, outcome, ErrorCode::internal);
    CHECK_THAT(outcome.error().message, Catch::Contains("too long (test)"));
  }
  SECTION("the progress of any phase, on any rank") {
    for (const std::string phase : {"index", "sort", "assemble"}) {
      for (const RankId rank : {0, 1}) {
        INFO(phase << " rank " << rank);
        world.progress_rank = rank;
        world.progress = [&](const DsortProgress& progress) {
          if (progress.phase == phase) throw std::filesystem::filesystem_error("progress (test)", std::make_error_code(std::errc::io_error));
        };
        const auto outcome = world.dsort(shuffle_spec());
        check_undone(world, outcome, ErrorCode::internal);
        CHECK_THAT(outcome.error().message, Catch::Contains("progress (test)"));
        CHECK(outcome.error().rank == rank);
      }
    }
  }
  SECTION("making the output bucket") {
    world.change_context = [](RankId, mpi::DsortContext& context) {
      context.create_bucket = [](const std::string&) -> Result<void> { throw std::bad_alloc(); };
    };
    check_undone(world, world.dsort(shuffle_spec()), ErrorCode::no_space);
  }
  SECTION("what is not an exception of the standard library") {
    world.change_context = [](RankId, mpi::DsortContext& context) { context.create_bucket = [](const std::string&) -> Result<void> { throw 42; }; };
    check_undone(world, world.dsort(shuffle_spec()), ErrorCode::internal);
  }
  SECTION("the progress after publication: too late to fail") {
    world.progress = [&](const DsortProgress& progress) {
      if (progress.phase == "publish" && progress.done > 0) throw std::runtime_error("late (test)");
    };
    REQUIRE(world.dsort(shuffle_spec()));
    CHECK(!world.objects("output").empty());
  }
  world.fetcher.before_read = {};
  world.progress = {};
  world.change_context = {};
  if (!world.has_bucket("output")) REQUIRE(world.dsort(shuffle_spec()));
}
