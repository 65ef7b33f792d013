#include "mpi/dsort_assemble.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "mpi/dsort_phase.hpp"
#include "mpi/dsort_shard.hpp"
#include "shard/shard_index.hpp"

namespace tarn::mpi {

namespace {

/// A writer passes pieces of this size on without a copy of its own.
constexpr std::size_t kWindowBytesMax = limits::kSoloObjectBytesMin;
static_assert(kWindowBytesMax >= shard::kIndexWindowBytesMin, "verification reads through the same window");

/// Collective. Makes the output bucket if it is missing. @return whether it was.
Result<bool> make_bucket(DsortJob& job) {
  Result<void> outcome;
  std::array<std::uint64_t, 1> made{0};
  if (job.rank() == 0) {
    outcome = job.context.create_bucket(job.output_bucket);
    made[0] = outcome ? 1 : 0;
    if (!outcome && outcome.error().code == ErrorCode::exists) outcome = {};
  }
  TARN_CHECK(job.collectives().agree(std::move(outcome)));
  TARN_CHECK(job.collectives().all_reduce_max(made));
  return made[0] != 0;
}

using Writers = std::vector<std::unique_ptr<ObjectWriter>>;

Result<Writers> assemble(DsortJob& job, const ShardPlan& plan, const std::vector<DsortSource>& sources) {
  const std::size_t window_bytes = std::clamp<std::uint64_t>(job.worker_budget_bytes() / 4, shard::kIndexWindowBytesMin, kWindowBytesMax);
  std::vector<std::unique_ptr<ShardAssembler>> assemblers(job.threads);
  Writers writers(plan.shards.size());
  std::uint64_t bytes = 0;
  for (const PlannedShard& shard : plan.shards) bytes += shard.tar_bytes;
  const PhaseItemFn item = [&](std::size_t i, std::size_t worker, PhaseControl& control) -> Result<void> {
    if (!assemblers[worker]) assemblers[worker] = std::make_unique<ShardAssembler>(job, sources, window_bytes);
    TARN_TRY(writers[i], assemblers[worker]->assemble(plan.shards[i], control));
    return {};
  };
  TARN_CHECK(run_phase(job, "assemble", bytes, plan.shards.size(), item));
  return writers;
}

/// All shards become visible, or, if one of them cannot, none stays so.
Result<void> publish(DsortJob& job, const ShardPlan& plan, Writers& writers) {
  job.tell("publish", 0, job.report.shards);
  Result<void> outcome;
  std::size_t committed = 0;
  for (; committed < writers.size() && outcome; ++committed)
    if (auto done = writers[committed]->commit(); !done) outcome = fail(std::move(done).error());
  if (!outcome) --committed;
  auto common = job.collectives().agree(std::move(outcome));
  if (!common)
    for (std::size_t i = 0; i < committed; ++i)
      (void)job.context.store->remove(plan.shards[i].disk, {job.output_bucket, job.output.name(plan.shards[i].number)});
  job.tell("publish", common ? job.report.shards : 0, job.report.shards);
  return common;
}

}  // namespace

Result<void> assemble_and_publish(DsortJob& job, const ShardPlan& plan, const std::vector<DsortSource>& sources) {
  TARN_TRY(const bool new_bucket, make_bucket(job));
  Result<void> result;
  if (auto writers = assemble(job, plan, sources); !writers)
    result = fail(std::move(writers).error());
  else
    result = publish(job, plan, *writers);
  if (!result && new_bucket) {  // what was written without a name has gone with its writers
    TARN_CHECK(job.collectives().barrier());
    if (job.rank() == 0) (void)job.context.remove_bucket(job.output_bucket);
    TARN_CHECK(job.collectives().barrier());
  }
  return result;
}

}  // namespace tarn::mpi
