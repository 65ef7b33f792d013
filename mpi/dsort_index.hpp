// dsort_index.hpp - from inputs to records: reads this rank's shards once, groups loose objects into samples.
// Level 6 (mpi).
#pragma once

#include <tarn/result.hpp>

#include "mpi/dsort_input.hpp"
#include "mpi/dsort_job.hpp"
#include "plan/record_table.hpp"

namespace tarn::mpi {

/// Collective. Every sample of the input as a record on some rank, unsorted. Loose objects of one sample meet on
/// the rank that the hash of their key says, whichever ranks hold them. Adds to report.skipped_members.
/// @errors invalid (a damaged shard; a sample with two members of one extension), corrupt (an object does not
///         match its checksum), aborted, io.
/// @cost   reads all bytes of this rank's shards; of loose objects nothing.
[[nodiscard]] Result<plan::RecordTable> index_inputs(DsortJob& job, DsortInputs& inputs);

}  // namespace tarn::mpi
