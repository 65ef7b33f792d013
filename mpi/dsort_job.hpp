// dsort_job.hpp - what the steps of one dsort share on one rank.
// Level 6 (mpi). One thread, but for what run_phase() hands to its workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <tarn/dsort.hpp>
#include <tarn/result.hpp>

#include "mpi/dsort.hpp"
#include "object/local_store.hpp"
#include "placement/placement.hpp"
#include "plan/selection.hpp"
#include "shard/archive_kind.hpp"
#include "shard/name_template.hpp"

namespace tarn::mpi {

struct DsortJob {
  DsortContext& context;
  const DsortSpec& spec;
  const DsortProgressFn& progress;
  const std::atomic<bool>& abort;
  const std::string output_bucket;
  const shard::NameTemplate output;
  const shard::ArchiveKind output_kind;
  const plan::Selection selection;
  const placement::Placement placement;
  const unsigned threads;  ///< of this rank
  bool& made_bucket;       ///< on rank 0: the output bucket was not there before
  bool& assembling;        ///< shards are being made: what an earlier job has kept is this one's now
  DsortReport report;      ///< sums of all ranks, once a step is done

  [[nodiscard]] Collectives& collectives() const noexcept { return context.collectives; }
  [[nodiscard]] RankId rank() const noexcept { return context.collectives.rank(); }
  [[nodiscard]] std::size_t ranks() const noexcept { return static_cast<std::size_t>(context.collectives.size()); }
  /// The disk where an object belongs.
  [[nodiscard]] const placement::Disk& home(std::string_view bucket, std::string_view key) const {
    return context.map->disks[placement.home_disk(bucket, key)];
  }
  /// Bytes that one worker may hold; `share` of the budget is split among them.
  [[nodiscard]] std::uint64_t worker_budget_bytes() const noexcept { return spec.memory_budget_bytes / threads; }
  void tell(std::string_view phase, std::uint64_t done, std::uint64_t total) const {
    if (progress) progress(DsortProgress{phase, done, total});
  }
};

/// An input shard, known to every rank; its number is its place in the order of names.
struct DsortSource {
  std::string name;
  RankId rank = 0;
  std::uint32_t disk = 0;
  std::uint64_t size_bytes = 0;
  std::vector<object::StoredExtent> extents;  ///< of its tar; of one that is packed once it has been indexed, which unpacks it
  shard::ArchiveKind kind = shard::ArchiveKind::tar;
};

}  // namespace tarn::mpi
