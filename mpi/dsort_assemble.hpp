// dsort_assemble.hpp - the shards of one rank: fetched, checked, written, read back, published.
// Level 6 (mpi).
#pragma once

#include <tarn/result.hpp>

#include "mpi/dsort_input.hpp"
#include "mpi/dsort_job.hpp"
#include "mpi/dsort_sort.hpp"

namespace tarn::mpi {

/// Collective. Makes the output bucket if it is missing, writes all shards, and gives them their names when
/// every rank has written and checked its own. Shards that an earlier job had finished are taken up. After an error nothing has a name,
/// those that an earlier job named neither; a bucket that was made stays (job.made_bucket).
/// @errors corrupt (bytes are not what they were when they were indexed), no_space, io, aborted, rank_lost.
/// @cost   one worker holds a window of at most 1 MiB (and its share of the memory budget), whatever the sizes of samples.
[[nodiscard]] Result<void> assemble_and_publish(DsortJob& job, const ShardPlan& plan, const DsortInputs& inputs);

}  // namespace tarn::mpi
