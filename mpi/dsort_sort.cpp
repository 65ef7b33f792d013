#include "mpi/dsort_sort.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mpi/dsort_duplicates.hpp"
#include "mpi/dsort_exchange.hpp"
#include "plan/record.hpp"
#include "plan/sample_order.hpp"
#include "plan/shard_cut.hpp"
#include "shard/tar_format.hpp"

namespace tarn::mpi {

namespace {

constexpr std::size_t kSplitterSamples = 64;  // of each rank: shares differ by a few per cent then

/// Places sampled by all ranks, so that all compute the same splitters.
Result<std::vector<plan::SampledPlace>> gather_places(DsortJob& job, const plan::RecordTable& table) {
  base::Encoder to;
  for (const auto& place : table.sample(kSplitterSamples))
    to.u64(place.prefix).varint(place.position).text(place.content).text(place.key).varint(place.weight);
  TARN_TRY(const auto all, all_gather_in_rounds(job.collectives(), to.bytes()));
  std::vector<plan::SampledPlace> places;
  for (const auto& bytes : all) {
    base::Decoder from(bytes);
    while (!from.rest().empty()) {
      plan::SampledPlace place;
      place.prefix = from.u64();
      place.position = from.varint();
      place.content = from.text();
      place.key = from.text();
      place.weight = from.varint();
      if (from.failed()) return fail(ErrorCode::internal, "dsort: a sampled place is cut off");
      places.push_back(std::move(place));
    }
  }
  return places;
}

/// Sample sort: this rank's share of the global order, sorted.
Result<plan::RecordTable> sort_globally(DsortJob& job, plan::RecordTable table) {
  const plan::SampleOrder order(job.spec);
  table.sort();
  TARN_TRY(auto places, gather_places(job, table));
  const auto splitters = plan::choose_splitters(order, std::move(places), job.ranks());
  const auto begins = table.cut(splitters, job.ranks());
  plan::RecordTable sorted(order);
  std::size_t part = 0;
  const auto outgoing = [&](std::size_t i) {
    while (i >= begins[part + 1]) ++part;
    return OutgoingItem{part, table.bytes(i)};
  };
  TARN_CHECK(exchange_in_rounds(job.collectives(), table.size(), outgoing,
                                [&](std::size_t, std::vector<std::byte> bytes) { return sorted.append(std::move(bytes)); }));
  table = plan::RecordTable(order);  // its memory goes before the sort needs more
  sorted.sort();
  return sorted;
}

/// What each of this rank's records weighs, and the sums of all ranks for the report.
Result<std::vector<std::uint64_t>> count(DsortJob& job, const plan::RecordTable& table) {
  std::vector<std::uint64_t> tar_bytes;
  tar_bytes.reserve(table.size());
  std::array<std::uint64_t, 3> sums{table.size(), 0, 0};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto head = table.head(i);
    tar_bytes.push_back(head.tar_bytes);
    sums[1] += head.members;
    sums[2] += head.tar_bytes;
  }
  TARN_CHECK(job.collectives().all_reduce_sum(sums));
  job.report.samples = sums[0];
  job.report.members = sums[1];
  job.report.output_bytes = sums[2];  // trailers are added when the number of shards is known
  return tar_bytes;
}

/// The shard number of each of this rank's records.
Result<std::vector<std::uint64_t>> number_shards(DsortJob& job, const std::vector<std::uint64_t>& tar_bytes) {
  std::uint64_t weight = 0;
  for (const std::uint64_t bytes : tar_bytes) weight += job.spec.shard_size_bytes != 0 ? bytes : 1;
  TARN_TRY(const std::uint64_t before, job.collectives().exclusive_scan_sum(weight));
  std::vector<std::uint64_t> slots = plan::shard_slots(job.spec, tar_bytes, before);
  const plan::SlotRun own = plan::slot_run(slots);
  base::Encoder to;
  to.u64(own.distinct).u64(own.first).u64(own.last);
  TARN_TRY(const auto all, job.collectives().all_gather(to.bytes()));
  std::vector<plan::SlotRun> runs;
  for (const auto& bytes : all) {
    base::Decoder from(bytes);
    plan::SlotRun run;
    run.distinct = from.u64();
    run.first = from.u64();
    run.last = from.u64();
    runs.push_back(run);
  }
  job.report.shards = plan::shard_count(runs);
  job.report.output_bytes += job.report.shards * shard::kTrailerBytes;
  std::uint64_t number = plan::first_shard(runs, static_cast<std::size_t>(job.rank()));
  std::uint64_t slot = slots.empty() ? 0 : slots[0];
  for (auto& place : slots) {
    if (place != slot) ++number;
    slot = place;
    place = number;
  }
  return slots;
}

Result<void> check_capacity(const DsortJob& job) {
  const auto capacity = job.output.capacity();
  if (!capacity || job.report.shards <= *capacity) return {};
  return fail(ErrorCode::invalid, "dsort: the output template '" + job.output.text() + "' has " + std::to_string(*capacity) + " names, but " +
                                      std::to_string(job.report.shards) + " shards are needed; widen it or use larger shards");
}

/// Records on their way home. A message is a list of: shard number, record.
class HomeBound {
 public:
  explicit HomeBound(std::size_t ranks) : received_(ranks) {}

  Result<void> take(std::size_t source, std::vector<std::byte> bytes) {
    received_[source].push_back(std::move(bytes));
    return {};
  }

  /// Sources have ascending runs of the global order, and their blocks came in order: so has each shard.
  Result<ShardPlan> plan(const DsortJob& job) && {
    ShardPlan result;
    struct Run {
      std::uint64_t number, tar_bytes;
      std::span<const std::byte> bytes;
    };
    std::vector<Run> runs;
    for (auto& blocks : received_)
      for (auto& block : blocks) {
        result.blocks.push_back(std::move(block));  // moving keeps the bytes where they are
        base::Decoder from(result.blocks.back());
        while (!from.rest().empty()) {
          const std::uint64_t number = from.varint();
          const auto rest = from.rest();
          const auto head = plan::read_head(from);
          if (from.failed()) return fail(ErrorCode::internal, "dsort: a planned record is cut off");
          runs.push_back({number, head.tar_bytes, rest.first(rest.size() - from.rest().size())});
        }
      }
    std::stable_sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.number < b.number; });
    for (const Run& run : runs) {
      if (result.shards.empty() || result.shards.back().number != run.number) {
        const auto& disk = job.home(job.output_bucket, job.output.name(run.number));
        result.shards.push_back({run.number, disk.index, 0, 0, {}});
      }
      PlannedShard& shard = result.shards.back();
      ++shard.samples;
      shard.tar_bytes += run.tar_bytes;
      shard.runs.push_back(run.bytes);
    }
    return result;
  }

 private:
  std::vector<std::vector<std::vector<std::byte>>> received_;  // by source, then round
};

Result<ShardPlan> send_home(DsortJob& job, const plan::RecordTable& table, const std::vector<std::uint64_t>& numbers) {
  HomeBound home_bound(job.ranks());
  base::Encoder item;
  std::uint64_t number = UINT64_MAX;
  std::size_t home = 0;
  const auto outgoing = [&](std::size_t i) {
    if (numbers[i] != number) {
      number = numbers[i];
      home = static_cast<std::size_t>(job.home(job.output_bucket, job.output.name(number)).rank);
    }
    item = base::Encoder();
    item.varint(number).raw(table.bytes(i));
    return OutgoingItem{home, item.bytes()};
  };
  TARN_CHECK(exchange_in_rounds(job.collectives(), table.size(), outgoing,
                                [&](std::size_t source, std::vector<std::byte> bytes) { return home_bound.take(source, std::move(bytes)); }));
  return agree_on(job.collectives(), std::move(home_bound).plan(job));
}

}  // namespace

Result<ShardPlan> plan_shards(DsortJob& job, plan::RecordTable table, const std::vector<DsortSource>& sources) {
  job.tell("sort", 0, 1);
  TARN_TRY(auto sorted, sort_globally(job, std::move(table)));
  TARN_CHECK(remove_duplicates(job, sorted, sources));
  TARN_TRY(const auto tar_bytes, count(job, sorted));
  TARN_TRY(const auto numbers, number_shards(job, tar_bytes));
  TARN_CHECK(check_capacity(job));
  ShardPlan plan;
  if (!job.spec.dry_run) {
    TARN_TRY(plan, send_home(job, sorted, numbers));
  }
  job.tell("sort", 1, 1);
  return plan;
}

}  // namespace tarn::mpi
