// dsort_memory_test.cpp - dsort's memory does not depend on how many shards it writes.
#include <catch2/catch.hpp>

#include "dsort_fixture.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

constexpr std::size_t kSampleBytes = 40'000;

/// The most bytes held beyond those before, while so many samples become a shard each.
std::size_t peak_of_small_shards(std::size_t samples) {
  DsortWorld world(1);
  world.create_bucket("input");
  for (std::size_t i = 0; i < samples; ++i)
    world.put("input", std::to_string(i) + ".jpg", std::string(kSampleBytes, static_cast<char>('a' + i % 26)));
  DsortSpec spec = shuffle_spec();
  spec.shard_size_bytes = 0;
  spec.shard_samples = 1;
  const std::size_t before = allocated_bytes();
  reset_peak();
  const auto report = world.dsort(spec);
  const std::size_t peak = peak_bytes() - before;
  REQUIRE(report);
  CHECK(report->shards == samples);
  CHECK(world.temporary_files() == 0);
  CHECK(world.objects("output").size() == samples);
  return peak;
}

}  // namespace

TEST_CASE("dsort: many small shards need no more memory than fewer", "[dsort]") {
  const std::size_t few = peak_of_small_shards(450);    // all of them fill what may wait in memory
  const std::size_t many = peak_of_small_shards(1050);  // 24 MB more
  CHECK(many < few + 600 * 5000);
}
