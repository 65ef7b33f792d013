#include "mpi/dsort_index.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "mpi/dsort_content.hpp"
#include "mpi/dsort_exchange.hpp"
#include "mpi/dsort_phase.hpp"
#include "mpi/dsort_unpack.hpp"
#include "plan/record.hpp"
#include "shard/member.hpp"
#include "shard/shard_index.hpp"

namespace tarn::mpi {

namespace {

/// What this rank leaves out, or has to say of it.
struct Counts {
  std::uint64_t skipped_members = 0;
  std::uint64_t dropped_members = 0;
  std::uint64_t dropped_samples = 0;
  std::uint64_t missing_content = 0;
};

/// Reads one shard, sequentially and whole, so that the reader verifies the object's checksum.
Result<shard::ShardCounts> index_source(const DsortJob& job, const DsortSource& source, std::uint64_t number, std::span<std::byte> window,
                                        ContentKeys& contents, std::uint64_t& dropped_samples, base::Encoder& records, PhaseControl& control) {
  const std::string where = "shard '" + source.name + "'";
  const shard::SampleFn take = [&](const shard::Sample& sample) -> Result<void> {
    if (!job.selection.keeps_sample(sample.key)) {
      ++dropped_samples;
      return {};
    }
    TARN_TRY(const auto content, contents.make(sample.key, where, sample.content));
    if (content) plan::append_shard_record(records, sample, number, *content);
    return {};
  };
  if (source.kind != shard::ArchiveKind::tar) return unpack_and_index(job, source, number, window, take, control);
  TARN_TRY(const auto reader, job.context.store->open_reader(source.disk, {job.spec.input.bucket, source.name}));
  if (reader->info().size_bytes != source.size_bytes)
    return fail(ErrorCode::aborted, "dsort: input shard '" + source.name + "' was replaced while the job ran; start it again");
  const shard::ShardReadFn read = [&](std::uint64_t offset, std::span<std::byte> target) -> Result<std::size_t> {
    if (control.stopped()) return fail(ErrorCode::aborted, "dsort: stopped");
    auto got = reader->read(offset, target);
    if (got) control.add(*got);
    return got;
  };
  return shard::index_shard(source.name, source.size_bytes, read, take, window, input_options(job));
}

Result<void> index_sources(DsortJob& job, const DsortInputs& inputs, plan::RecordTable& table, Counts& sums) {
  std::uint64_t bytes = 0;
  for (const std::size_t number : inputs.mine) bytes += inputs.sources[number].size_bytes;
  std::vector<std::vector<std::byte>> windows(job.threads);
  std::mutex mutex;  // guards table and sums
  const PhaseItemFn item = [&](std::size_t i, std::size_t worker, PhaseControl& control) -> Result<void> {
    windows[worker].resize(shard::kIndexWindowBytesMin);  // small enough to stay in a core's cache
    base::Encoder records;
    const std::size_t number = inputs.mine[i];
    ContentKeys contents(job.spec);
    std::uint64_t dropped_samples = 0;
    TARN_TRY(const auto counts, index_source(job, inputs.sources[number], number, windows[worker], contents, dropped_samples, records, control));
    const std::lock_guard lock(mutex);
    sums.skipped_members += counts.skipped_members;
    sums.dropped_members += counts.dropped_members;
    sums.dropped_samples += dropped_samples;
    sums.missing_content += contents.missing();
    return table.append(std::move(records).take());
  };
  return run_phase(job, "index", bytes, inputs.mine.size(), item);
}

/// Loose members that have met on one rank become samples: in the order of their names within a key.
Result<void> group_loose(const DsortJob& job, const std::vector<std::vector<std::byte>>& received, plan::RecordTable& table, Counts& sums) {
  std::vector<std::pair<std::string_view, plan::LooseMember>> members;  // by key
  for (const auto& block : received) {
    base::Decoder from(block);
    while (!from.rest().empty()) {
      plan::LooseMember member = plan::read_loose_member(from);
      if (from.failed()) return fail(ErrorCode::internal, "dsort: a packed member is cut off");
      const auto key = shard::split_member_name(member.name)->key;
      members.emplace_back(key, std::move(member));
    }
  }
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.first != b.first ? a.first < b.first : a.second.name < b.second.name; });
  shard::SampleGrouping grouping;  // finds two members of one extension
  std::vector<std::vector<plan::LooseMember>> samples;
  for (auto& [key, member] : members) {
    auto step = grouping.add(member.name, true);
    if (!step) return fail(step.error().code, "dsort: loose objects: " + step.error().message);
    if (*step == shard::SampleGrouping::Step::begins) samples.emplace_back();
    samples.back().push_back(std::move(member));
  }
  const auto unwanted = [&](const auto& sample) { return !job.selection.keeps_sample(shard::split_member_name(sample[0].name)->key); };
  sums.dropped_samples += std::erase_if(samples, unwanted);
  TARN_TRY(const auto contents, read_contents(job, samples));
  ContentKeys keys(job.spec);
  base::Encoder records;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto key = shard::split_member_name(samples[i][0].name)->key;
    TARN_TRY(const auto content, keys.make(key, "loose objects", contents[i]));
    if (content) plan::append_loose_record(records, key, samples[i], *content);
  }
  sums.missing_content += keys.missing();
  return table.append(std::move(records).take());
}

Result<void> index_loose(DsortJob& job, LooseObjects loose, plan::RecordTable& table, Counts& sums) {
  std::array<std::uint64_t, 1> count{loose.begins.size()};
  TARN_CHECK(job.collectives().all_reduce_sum(count));
  if (count[0] == 0) return {};
  const auto outgoing = [&](std::size_t i) {
    const std::size_t end = i + 1 < loose.begins.size() ? loose.begins[i + 1] : loose.packed.size();
    const auto bytes = loose.packed.bytes().subspan(loose.begins[i], end - loose.begins[i]);
    base::Decoder from(bytes);
    const auto key = shard::split_member_name(plan::read_loose_member(from).name)->key;
    return OutgoingItem{base::xxh3_64(key) % job.ranks(), bytes};
  };
  std::vector<std::vector<std::byte>> received;
  TARN_CHECK(exchange_in_rounds(job.collectives(), loose.begins.size(), outgoing, [&](std::size_t, std::vector<std::byte> bytes) -> Result<void> {
    received.push_back(std::move(bytes));
    return {};
  }));
  loose = {};
  return job.collectives().agree(group_loose(job, received, table, sums));
}

}  // namespace

Result<plan::RecordTable> index_inputs(DsortJob& job, DsortInputs& inputs) {
  plan::RecordTable table{plan::SampleOrder(job.spec)};
  Counts sums;
  sums.skipped_members = inputs.skipped;
  sums.dropped_members = inputs.dropped;
  TARN_CHECK(index_sources(job, inputs, table, sums));
  TARN_CHECK(share_unpacked(job, inputs));
  TARN_CHECK(index_loose(job, std::move(inputs.loose), table, sums));
  std::array<std::uint64_t, 4> all{sums.skipped_members, sums.missing_content, sums.dropped_members, sums.dropped_samples};
  TARN_CHECK(job.collectives().all_reduce_sum(all));
  job.report.skipped_members = all[0];
  job.report.missing_content = all[1];
  job.report.dropped_members = all[2];
  job.report.dropped_samples = all[3];
  return table;
}

}  // namespace tarn::mpi
