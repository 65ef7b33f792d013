#include "mpi/dsort_assemble.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "mpi/dsort_phase.hpp"
#include "mpi/dsort_shard.hpp"
#include "shard/shard_index.hpp"

namespace tarn::mpi {

namespace {

/// A writer passes pieces of this size on without a copy of its own.
constexpr std::size_t kWindowBytesMax = limits::kSoloObjectBytesMin;
static_assert(kWindowBytesMax >= shard::kIndexWindowBytesMin, "verification reads through the same window");

/// Makes the output bucket on this rank's disks. @return whether it was missing.
Result<bool> make_bucket(const DsortJob& job, std::int64_t created_ns) {
  if (job.context.store == nullptr || job.context.store->has_bucket(job.output_bucket)) return false;
  auto made = job.context.store->create_bucket(job.output_bucket, created_ns);
  if (made) return true;
  if (made.error().code == ErrorCode::exists) return false;
  return fail(std::move(made).error());
}

/// One creation time for all ranks.
Result<std::int64_t> common_time(DsortJob& job) {
  const std::int64_t now = base::now_ns();
  TARN_TRY(const auto bytes, job.collectives().broadcast(0, std::as_bytes(std::span(&now, 1))));
  std::int64_t time = 0;
  if (bytes.size() == sizeof(time)) std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(&time, 1)).begin());
  return time;
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
  TARN_TRY(const std::int64_t created_ns, common_time(job));
  auto made = make_bucket(job, created_ns);
  const bool new_bucket = made.value_or(false);
  auto outcome = agree_on(job.collectives(), std::move(made));
  Result<void> result;
  if (!outcome) {
    result = fail(std::move(outcome).error());
  } else if (auto writers = assemble(job, plan, sources); !writers) {
    result = fail(std::move(writers).error());
  } else {
    result = publish(job, plan, *writers);
  }
  // What was written without a name has gone with its writers.
  if (!result && new_bucket) (void)job.context.store->remove_bucket(job.output_bucket);
  return result;
}

}  // namespace tarn::mpi
