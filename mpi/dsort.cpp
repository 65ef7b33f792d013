#include "mpi/dsort.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "mpi/dsort_assemble.hpp"
#include "mpi/dsort_index.hpp"
#include "mpi/dsort_input.hpp"
#include "mpi/dsort_job.hpp"
#include "mpi/dsort_sort.hpp"
#include "mpi/dsort_together.hpp"
#include "mpi/dsort_unpack.hpp"
#include "mpi/guarded.hpp"
#include "plan/dsort_spec.hpp"

namespace tarn::mpi {

namespace {

constexpr unsigned kThreadsMax = 4;  // beyond this the disks, not the threads, are the limit

/// The cores of this node, shared out among the ranks on it.
unsigned choose_threads(const DsortContext& context) {
  if (context.threads != 0) return context.threads;
  const auto& ranks = context.map->ranks;
  const auto& host = ranks[static_cast<std::size_t>(context.collectives.rank())].host;
  const auto neighbours = static_cast<unsigned>(std::count_if(ranks.begin(), ranks.end(), [&](const auto& rank) { return rank.host == host; }));
  return std::clamp(std::thread::hardware_concurrency() / std::max(1U, neighbours), 1U, kThreadsMax);
}

/// Ranks with different specifications would wait for each other for ever, or mix two jobs.
Result<void> check_same_spec(Collectives& collectives, const DsortSpec& spec) {
  const std::uint64_t hash = base::xxh3_64(boost::json::serialize(plan::dsort_spec_to_json(spec)));
  std::array<std::uint64_t, 2> bounds{hash, ~hash};
  TARN_CHECK(collectives.all_reduce_max(bounds));
  if (bounds[0] == ~bounds[1]) return {};
  return fail(ErrorCode::invalid, "dsort: the ranks were given different specifications; every rank must pass the same one");
}

/// A dry run has read the input once; its output would be fetched, written and read back.
double estimate(const DsortReport& report, std::uint64_t input_bytes) {
  constexpr double kPasses = 3;
  if (input_bytes == 0) return report.seconds;
  return report.seconds * (1 + kPasses * static_cast<double>(report.output_bytes) / static_cast<double>(input_bytes));
}

Result<void> run_steps(DsortJob& job, std::uint64_t& input_bytes) {
  TARN_TRY(auto inputs, list_inputs(job));
  std::array<std::uint64_t, 1> bytes{inputs.bytes};
  TARN_CHECK(job.collectives().all_reduce_sum(bytes));
  input_bytes = bytes[0];
  TARN_TRY(auto table, index_inputs(job, inputs));
  TARN_TRY(const auto plan, plan_shards(job, std::move(table), inputs.sources));
  if (job.report.samples == 0) job.report.warnings.emplace_back("the input has no samples: nothing was written");
  if (job.spec.dry_run || job.report.samples == 0) return {};
  return assemble_and_publish(job, plan, inputs);
}

/// Everything up to the shards' names; the bucket that it may have made is left to the caller. @return whether rank 0 made one.
Result<void> run_job(DsortContext& context, const DsortSpec& spec, const DsortProgressFn& progress, const std::atomic<bool>& abort, bool& made_bucket,
                     bool& assembling, DsortReport& report) {
  const auto start = std::chrono::steady_clock::now();
  TARN_CHECK(context.collectives.agree(plan::check_dsort_spec(spec)));
  TARN_CHECK(check_same_spec(context.collectives, spec));
  if (context.settled && !context.settled())  // the same on all ranks; objects elsewhere than at home would be left out
    return fail(ErrorCode::busy, "dsort: the disks of this store have changed and not every object is in its place; run rebalance first");
  TARN_TRY(auto output, shard::NameTemplate::parse(spec.output_template));
  TARN_TRY(auto selection, plan::Selection::make(spec));
  DsortJob job{context,
               spec,
               progress,
               abort,
               spec.output_bucket.empty() ? spec.input.bucket : spec.output_bucket,
               std::move(output),
               *shard::archive_kind(spec.output_template),  // check_dsort_spec has seen it
               std::move(selection),
               placement::Placement(*context.map),
               choose_threads(context),
               made_bucket,
               assembling,
               {}};
  // From the first look at the own index to the last read by any rank, which the sum of the times below waits for: the places
  // in volumes that are passed on stay readable.
  const auto pins = context.store != nullptr ? context.store->pin_volumes() : std::vector<volume::VolumePin>();
  std::uint64_t input_bytes = 0;
  TARN_CHECK(run_steps(job, input_bytes));
  std::array<std::uint64_t, 1> elapsed_us{
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count())};
  TARN_CHECK(context.collectives.all_reduce_max(elapsed_us));
  job.report.seconds = static_cast<double>(elapsed_us[0]) / 1e6;
  if (spec.dry_run) job.report.estimated_seconds = estimate(job.report, input_bytes);
  report = std::move(job.report);
  return {};
}

/// Collective. After a failure: takes back the output bucket that rank 0 made.
void remove_made_bucket(Together& ranks, const DsortContext& context, const std::string& bucket, bool made) {
  (void)ranks.run("dsort", [&]() -> Result<void> {
    TARN_CHECK(ranks.barrier());  // what was written without a name has gone with its writers, what had one was removed
    if (ranks.rank() == 0 && made) (void)guarded("dsort", [&] { return context.remove_bucket(bucket); });
    return ranks.barrier();
  });
}

}  // namespace

Result<DsortReport> run_dsort(DsortContext& context, const DsortSpec& spec, const DsortProgressFn& progress, const std::atomic<bool>& abort) {
  Together ranks(context.collectives);
  DsortReport report;
  bool made_bucket = false, assembling = false;
  remove_unpacked(context.store);  // that an earlier one could not remove
  auto outcome = ranks.run("dsort", [&] {
    DsortContext together{ranks,           context.fetcher,     context.store,  context.map,    context.create_bucket, context.remove_bucket,
                          context.threads, context.make_copies, context.placed, context.settled};
    return run_job(together, spec, progress, abort, made_bucket, assembling, report);
  });
  const std::string& bucket = spec.output_bucket.empty() ? spec.input.bucket : spec.output_bucket;
  if (!outcome) remove_made_bucket(ranks, context, bucket, made_bucket);
  remove_unpacked(context.store);  // all ranks have read what they needed, or have given up
  // Shards without a name outlive a job that ends because a rank was lost, and one that has not come to make them.
  if (context.store != nullptr && assembling && (outcome || outcome.error().code != ErrorCode::rank_lost)) context.store->kept().remove_all();
  if (outcome) {
    if (spec.dry_run || report.samples == 0 || !context.make_copies) return report;
    // The shards are there, whole. The same on all ranks.
    if (const auto copied = context.make_copies(context.collectives, bucket); !copied)
      report.warnings.push_back("the output has fewer copies than its bucket keeps (" + copied.error().message + "); run repair");
    return report;
  }
  return fail(std::move(outcome).error());
}

}  // namespace tarn::mpi
