#include "mpi/dsort_assemble.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "mpi/dsort_by_products.hpp"
#include "mpi/dsort_finished.hpp"
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

/// Objects that have names of the output already must be shards of this plan.
Result<void> check_named(const DsortJob& job, const ShardPlan& plan, const DsortInputs& inputs, const FinishedShards& finished) {
  for (const std::string& key : inputs.named) {
    if (is_by_product(job, key)) continue;  // its bytes are compared when it has been made
    const auto number = job.output.index_of(key);
    const auto shard = std::find_if(plan.shards.begin(), plan.shards.end(), [&](const PlannedShard& one) { return one.number == number; });
    if (shard == plan.shards.end() || !finished.named(shard->disk, shard_id(job, *shard))) return name_taken(job, key);
  }
  return {};
}

using Shards = std::vector<ShardAssembler::Assembled>;

Result<Shards> assemble(DsortJob& job, const ShardPlan& plan, const DsortInputs& inputs, const FinishedShards& finished) {
  const std::size_t window_bytes = std::clamp<std::uint64_t>(job.worker_budget_bytes() / 4, shard::kIndexWindowBytesMin, kWindowBytesMax);
  std::vector<std::unique_ptr<ShardAssembler>> assemblers(job.threads);
  Shards shards(plan.shards.size());
  std::uint64_t bytes = 0;
  for (const PlannedShard& shard : plan.shards) bytes += shard.tar_bytes;
  const PhaseItemFn item = [&](std::size_t i, std::size_t worker, PhaseControl& control) -> Result<void> {
    if (!assemblers[worker]) assemblers[worker] = std::make_unique<ShardAssembler>(job, inputs.sources, finished, window_bytes);
    TARN_TRY(shards[i], assemblers[worker]->assemble(plan.shards[i], control));
    return {};
  };
  TARN_CHECK(run_phase(job, "assemble", bytes, plan.shards.size(), item));
  std::array<std::uint64_t, 2> sums{0, 0};
  for (const auto& shard : shards) {
    sums[0] += shard.size_bytes;
    sums[1] += shard.resumed ? 1 : 0;
  }
  TARN_CHECK(job.collectives().all_reduce_sum(sums));
  job.report.output_bytes = sums[0];
  job.report.resumed_shards = sums[1];
  plan::ClassCounts classes;
  for (const auto& assembler : assemblers)
    if (assembler)
      for (const auto& [label, count] : assembler->classes()) classes[label] += count;
  TARN_CHECK(sum_classes(job, classes));
  return shards;
}

/// Everything of this rank that is to get a name: shards first, so that what tells of them comes behind them.
Result<std::vector<Output>> make_outputs(DsortJob& job, const ShardPlan& plan, Shards shards) {
  TARN_TRY(auto by_products, make_by_products(job, plan, shards));
  std::vector<Output> outputs;
  for (std::size_t i = 0; i < shards.size(); ++i)
    outputs.push_back({plan.shards[i].disk, job.output.name(plan.shards[i].number), std::move(shards[i].writer), shards[i].id, shards[i].checksum});
  std::move(by_products.begin(), by_products.end(), std::back_inserter(outputs));
  return outputs;
}

/// So that the next job can tell which objects are this one's, if this one is killed now.
Result<void> note_names(const DsortJob& job, const std::vector<Output>& outputs) {
  std::map<std::uint32_t, std::map<object::BodyId, Checksum>> by_disk;
  for (const Output& output : outputs) by_disk[output.disk].emplace(output.id, output.checksum);
  for (const auto& [disk, bodies] : by_disk) TARN_CHECK(job.context.store->kept().note_named(disk, bodies));
  return {};
}

/// All of it becomes visible, or, if one object cannot, none stays so.
Result<void> publish(DsortJob& job, std::vector<Output> outputs) {
  job.tell("publish", 0, job.report.shards);
  std::size_t begun = 0;
  auto common = job.collectives().agree(guarded("dsort", [&]() -> Result<void> {
    TARN_CHECK(note_names(job, outputs));
    for (; begun < outputs.size(); ++begun)
      if (outputs[begun].writer) TARN_CHECK(outputs[begun].writer->commit());
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
  for (std::size_t i = 0; i < std::min(begun + 1, outputs.size()); ++i)
    (void)guarded("dsort", [&] { return job.context.store->withdraw(outputs[i].disk, {job.output_bucket, outputs[i].key}); });
  return common;
}

}  // namespace

Result<void> assemble_and_publish(DsortJob& job, const ShardPlan& plan, const DsortInputs& inputs) {
  TARN_TRY(const auto finished, agree_on(job.collectives(), FinishedShards::find(job.context.store)));
  TARN_CHECK(job.collectives().agree(check_named(job, plan, inputs, finished)));
  TARN_CHECK(make_bucket(job));
  job.assembling = true;
  const auto outcome = [&]() -> Result<void> {
    TARN_TRY(auto shards, assemble(job, plan, inputs, finished));
    TARN_TRY(auto outputs, make_outputs(job, plan, std::move(shards)));
    return publish(job, std::move(outputs));
  }();
  if (outcome) return outcome;
  for (const std::string& key : inputs.named)  // all or none, also with what an earlier job has named
    (void)guarded("dsort", [&] { return job.context.store->withdraw(job.home(job.output_bucket, key).index, {job.output_bucket, key}); });
  return outcome;
}

}  // namespace tarn::mpi
