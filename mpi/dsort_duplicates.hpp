// dsort_duplicates.hpp - samples whose key another sample has: found wherever they are, treated as the policy says.
// Level 6 (mpi).
#pragma once

#include <vector>

#include <tarn/result.hpp>

#include "mpi/dsort_job.hpp"
#include "plan/record_table.hpp"

namespace tarn::mpi {

/// Collective. `table` is this rank's part of the globally sorted records; of samples with equal keys all but
/// the first (in the total order) are removed from it. Sets report.duplicate_samples; warns if so asked.
/// @errors invalid, with DuplicatePolicy::abort: names a key and both sources.
/// @cost   none if the order keeps equal keys on one rank; else 30 bytes for each sample to the rank that its
///         key's hash says.
[[nodiscard]] Result<void> remove_duplicates(DsortJob& job, plan::RecordTable& table, const std::vector<DsortSource>& sources);

}  // namespace tarn::mpi
