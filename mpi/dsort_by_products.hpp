// dsort_by_products.hpp - objects that a dsort writes beside its shards: an index for DALI for each of them, and one manifest.
// Level 6 (mpi).
//
//   rank of a shard:  while the shard is checked: index --> staging;  counts, checksum
//   by its name's home:  index fetched from there into an object;  the manifest's home gets a line from each shard
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/dsort_finished.hpp"
#include "mpi/dsort_job.hpp"
#include "mpi/dsort_outputs.hpp"
#include "mpi/dsort_shard.hpp"
#include "mpi/dsort_sort.hpp"
#include "plan/manifest.hpp"

namespace tarn::mpi {

/// Whether this dsort gives an object of its own this name, beside shards.
[[nodiscard]] bool is_by_product(const DsortJob& job, std::string_view key);

/// Keeps a shard's index until its home fetches it. @return where it lies, as a loose member without a name. @errors no_space, io.
[[nodiscard]] Result<plan::LooseMember> stage_index(const DsortJob& job, const PlannedShard& shard, std::string_view text);

/// Collective. Sums up the class counts of all ranks, for the report.
[[nodiscard]] Result<void> sum_classes(DsortJob& job, const plan::ClassCounts& own);

/// Collective. Writes this rank's by-products, without names yet. @errors exists, no_space, io, and those of the fetcher.
[[nodiscard]] Result<std::vector<Output>> make_by_products(DsortJob& job, const ShardPlan& plan,
                                                           const std::vector<ShardAssembler::Assembled>& shards);

}  // namespace tarn::mpi
