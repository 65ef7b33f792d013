// dsort_sort.hpp - from records to a plan: global order, duplicates, shard cuts, and each shard's records at its home.
// Level 6 (mpi).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/dsort_input.hpp"
#include "mpi/dsort_job.hpp"
#include "plan/record_table.hpp"

namespace tarn::mpi {

/// One output shard and its records, in order.
struct PlannedShard {
  std::uint64_t number = 0;
  std::uint32_t disk = 0;  ///< of its home rank
  std::uint64_t samples = 0;
  std::uint64_t tar_bytes = 0;                   ///< without the trailer
  std::vector<std::span<const std::byte>> runs;  ///< packed records, one after the other; in ShardPlan::blocks
};

struct ShardPlan {
  std::vector<PlannedShard> shards;  ///< of this rank, by number
  std::vector<std::vector<std::byte>> blocks;
};

/// Collective. Fills report.samples, members, duplicate_samples, shards and output_bytes.
/// @errors invalid: duplicates with DuplicatePolicy::abort, or the template has too few names.
/// @cost   each record travels twice; sorts its own share in memory.
[[nodiscard]] Result<ShardPlan> plan_shards(DsortJob& job, plan::RecordTable table, const std::vector<DsortSource>& sources);

}  // namespace tarn::mpi
