// dsort_finished.hpp - shards that a dsort which was killed had finished on these disks: found by what they are to hold, not made again.
// Level 6 (mpi). Constant once found: any thread.
//
//   finished, no name yet   object/kept_bodies.hpp, under a hash of the shard's name and of what its samples are
//   named                   the same, while names were being given: the object has it or not
//
// The plan is made anew by each job, so nothing depends on how far the other one came or how many ranks it had: a shard that is to hold
// the same samples, byte for byte, in the same order, has the same id.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/dsort_job.hpp"
#include "mpi/dsort_sort.hpp"
#include "object/kept_bodies.hpp"

namespace tarn::mpi {

/// What the shard is to be. @cost decodes its records.
[[nodiscard]] object::BodyId shard_id(const DsortJob& job, const PlannedShard& shard);

class FinishedShards {
 public:
  /// Of this rank's disks. @errors io.
  [[nodiscard]] static Result<FinishedShards> find(object::LocalStore* store);

  /// @return null: it has to be made.
  [[nodiscard]] const object::KeptBody* kept(std::uint32_t disk, const object::BodyId& id) const;
  /// Of a shard that may have its name: what the object is, then.
  [[nodiscard]] std::optional<Checksum> named(std::uint32_t disk, const object::BodyId& id) const;
  /// Whether an object may be such a shard.
  [[nodiscard]] bool may_be_named(std::uint32_t disk, const Checksum& checksum) const;

 private:
  struct OnDisk {
    std::map<object::BodyId, object::KeptBody> kept;
    std::map<object::BodyId, Checksum> named;
  };
  std::vector<OnDisk> disks_;
};

}  // namespace tarn::mpi
