#include "mpi/dsort_assemble.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "mpi/dsort_phase.hpp"
#include "mpi/dsort_shard.hpp"
#include "mpi/guarded.hpp"
#include "shard/shard_index.hpp"

namespace tarn::mpi {

namespace {

/// A writer passes pieces of this size on without a copy of its own.
constexpr std::size_t kWindowBytesMax = limits::kSoloObjectBytesMin;
static_assert(kWindowBytesMax >= shard::kIndexWindowBytesMin, "verification reads through the same window");

/// Collective. Makes the output bucket if it is missing.
Result<void> make_bucket(DsortJob& job) {
  Result<void> outcome;
  if (job.rank() == 0) {
    outcome = job.context.create_bucket(job.output_bucket);
    job.made_bucket = outcome.has_value();
    if (!outcome && outcome.error().code == ErrorCode::exists) outcome = {};
  }
  return job.collectives().agree(std::move(outcome));
}

using Writers = std::vector<std::unique_ptr<ObjectWriter>>;

Result<Writers> assemble(DsortJob& job, const ShardPlan& plan, const std::vector<DsortSource>& sources) {
  const std::size_t window_bytes = std::clamp<std::uint64_t>(job.worker_budget_bytes() / 4, shard::kIndexWindowBytesMin, kWindowBytesMax);
  std::vector<std::unique_ptr<ShardAssembler>> assemblers(job.threads);
  Writers writers(plan.shards.size());
  std::uint64_t bytes = 0;
  for (const PlannedShard& shard : plan.shards) bytes += shard.tar_bytes;
  std::atomic<std::uint64_t> written{0};
  const PhaseItemFn item = [&](std::size_t i, std::size_t worker, PhaseControl& control) -> Result<void> {
    if (!assemblers[worker]) assemblers[worker] = std::make_unique<ShardAssembler>(job, sources, window_bytes);
    TARN_TRY(auto assembled, assemblers[worker]->assemble(plan.shards[i], control));
    writers[i] = std::move(assembled.writer);
    written += assembled.size_bytes;
    return {};
  };
  TARN_CHECK(run_phase(job, "assemble", bytes, plan.shards.size(), item));
  std::array<std::uint64_t, 1> output_bytes{written};
  TARN_CHECK(job.collectives().all_reduce_sum(output_bytes));
  job.report.output_bytes = output_bytes[0];
  return writers;
}

/// All shards become visible, or, if one of them cannot, none stays so.
Result<void> publish(DsortJob& job, const ShardPlan& plan, Writers& writers) {
  job.tell("publish", 0, job.report.shards);
  std::size_t begun = 0;
  auto common = job.collectives().agree(guarded("dsort", [&]() -> Result<void> {
    while (begun < writers.size()) TARN_CHECK(writers[begun++]->commit());
    return {};
  }));
  if (common) {  // nothing may fail from here on
    (void)guarded("dsort", [&]() -> Result<void> {
      job.tell("publish", job.report.shards, job.report.shards);
      return {};
    });
    return common;
  }
  // The last one too: if it threw, or its sync failed, it may have its name. No such object was there before.
  for (std::size_t i = 0; i < begun; ++i)
    (void)guarded("dsort", [&] {
      return job.context.store->withdraw(plan.shards[i].disk, {job.output_bucket, job.output.name(plan.shards[i].number)});
    });
  return common;
}

}  // namespace

Result<void> assemble_and_publish(DsortJob& job, const ShardPlan& plan, const std::vector<DsortSource>& sources) {
  TARN_CHECK(make_bucket(job));
  TARN_TRY(auto writers, assemble(job, plan, sources));
  return publish(job, plan, writers);
}

}  // namespace tarn::mpi
