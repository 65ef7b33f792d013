// dsort_unpack.hpp - input shards that are packed (tar.gz, zip ...): unpacked onto the owner's disk while they are indexed.
// Level 6 (mpi). unpack_and_index(): several threads at once, each its own source.
//
//   packed object --read, verified--> unpacker --tar--+--> index_shard: samples
//                                                     `--> staging (object/staging.hpp), where the others fetch their bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/dsort_input.hpp"
#include "mpi/dsort_job.hpp"
#include "mpi/dsort_phase.hpp"
#include "shard/shard_index.hpp"

namespace tarn::mpi {

/// @param window  at least shard::kIndexWindowBytesMin. @errors invalid (damaged packing or tar), corrupt, no_space, io, aborted.
/// @cost  reads the packed bytes and writes the unpacked ones once.
[[nodiscard]] Result<shard::ShardCounts> unpack_and_index(const DsortJob& job, const DsortSource& source, std::uint64_t number,
                                                          std::span<std::byte> window, const shard::SampleFn& take, PhaseControl& control);

/// Collective. When all have been indexed: every rank learns where the unpacked tars lie.
[[nodiscard]] Result<void> share_unpacked(DsortJob& job, DsortInputs& inputs);

/// When nobody reads them any more, or before a dsort begins.
void remove_unpacked(object::LocalStore* store) noexcept;

}  // namespace tarn::mpi
