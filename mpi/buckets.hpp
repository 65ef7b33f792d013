// buckets.hpp - which buckets there are: known to every rank, recorded on every disk, changed through rank 0.
// Level 6 (mpi). Any thread. Rank 0's control thread is the sequencer, so that two ranks that make or remove the
// same bucket at the same time see one order; each rank's control thread takes the steps in that order.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/codec.hpp"
#include "mpi/caller.hpp"
#include "mpi/engine.hpp"
#include "mpi/peer_service.hpp"
#include "mpi/worker_pool.hpp"
#include "object/local_store.hpp"

namespace tarn::mpi {

/// A bucket in a message.
void encode_bucket(base::Encoder& encoder, const BucketInfo& bucket);
[[nodiscard]] BucketInfo decode_bucket(base::Decoder& decoder);

class Buckets {
 public:
  /// `local` is null on a rank without disks; `control` has one thread. All live as long as this does.
  Buckets(Engine& engine, Caller& caller, WorkerPool& control, RankId rank, int ranks, object::LocalStore* local)
      : engine_(engine), caller_(caller), control_(control), rank_(rank), ranks_(ranks), local_(local) {}

  void add_to(PeerService& service);
  /// What open() found on all disks; makes on this rank's disks what is missing there. Before any other call.
  [[nodiscard]] Result<void> adopt(const std::vector<BucketInfo>& all);

  [[nodiscard]] bool has(std::string_view bucket) const;
  [[nodiscard]] std::optional<BucketOptions> options(std::string_view bucket) const;
  /// Whether any bucket keeps more than one copy.
  [[nodiscard]] bool any_mirror() const;
  [[nodiscard]] std::vector<BucketInfo> list() const;
  /// On all ranks when it returns. @errors exists, invalid; what a disk says, and then it is on none.
  [[nodiscard]] Result<void> create(std::string_view bucket, const BucketOptions& options = {});
  /// Objects of this bucket may lie elsewhere than at their homes from now on: known on all ranks when it returns. @errors bucket_not_found.
  [[nodiscard]] Result<void> scatter(std::string_view bucket);
  /// @errors bucket_not_found, busy (not empty).
  [[nodiscard]] Result<void> remove(std::string_view bucket);

 private:
  enum class Step : std::uint8_t { create = 1, check_empty, remove, update };

  /// @errors bucket_not_found.
  [[nodiscard]] Result<BucketInfo> find(const std::string& bucket) const;
  // On rank 0's control thread:
  [[nodiscard]] Result<void> create_everywhere(BucketInfo bucket);
  [[nodiscard]] Result<void> remove_everywhere(const std::string& bucket);
  [[nodiscard]] Result<void> scatter_everywhere(const std::string& bucket);
  /// Runs a step on every rank. @return the first error, after all have answered.
  [[nodiscard]] Result<void> everywhere(Step step, const BucketInfo& bucket);
  // On each rank:
  [[nodiscard]] Result<void> apply(Step step, const BucketInfo& bucket);
  [[nodiscard]] Result<void> apply_numbered(std::uint64_t number, Step step, const BucketInfo& bucket);

  Engine& engine_;
  Caller& caller_;
  WorkerPool& control_;
  const RankId rank_;
  const int ranks_;
  object::LocalStore* local_;
  // Of the control thread. Rank 0 counts its steps; a rank that hears of them late, and of their undoing as well, takes the last.
  std::uint64_t last_step_ = 0;
  std::map<std::string, std::uint64_t> applied_;  // bucket -> its last step here

  mutable std::shared_mutex mutex_;                       // guards known_
  std::map<std::string, BucketInfo, std::less<>> known_;  // by name
};

}  // namespace tarn::mpi
