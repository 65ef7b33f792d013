// dsort_input.hpp - which objects a dsort reads: found by their owners, numbered by all.
// Level 6 (mpi).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "base/codec.hpp"
#include "mpi/dsort_job.hpp"

namespace tarn::mpi {

/// Objects that are members by themselves, packed by plan::append_loose_member.
struct LooseObjects {
  base::Encoder packed;
  std::vector<std::size_t> begins;  ///< of each in packed
};

struct DsortInputs {
  std::vector<DsortSource> sources;  ///< shards of all ranks, by name
  std::vector<std::size_t> mine;     ///< indices of this rank's own
  LooseObjects loose;                ///< this rank's own
  std::uint64_t skipped = 0;         ///< loose objects of this rank that no sample takes
  std::uint64_t dropped = 0;         ///< loose objects of this rank that are not to be kept
  std::uint64_t bytes = 0;           ///< of this rank's objects
  /// Objects of this rank with names of the output that an earlier job may have given them before it was killed.
  std::vector<std::string> named;
};

/// An object has a name that the output would get.
[[nodiscard]] tl::unexpected<Error> name_taken(const DsortJob& job, std::string_view key);

/// Collective. @errors bucket_not_found, not_found (a name of the list, or nothing at all), exists (an object
/// has a name that the output would get), invalid (shards missing with MissingPolicy::abort, or a template
/// that is certainly too small). Sets report.input_objects; may add a warning.
/// @cost a range scan of the index; memory: about 100 bytes per shard of all ranks, per loose object of its own.
[[nodiscard]] Result<DsortInputs> list_inputs(DsortJob& job);

}  // namespace tarn::mpi
