// distributed_store.hpp - all ranks' objects as one store: which disks an object's copies are on, and what is done to them.
// Level 6 (mpi). Any thread. What the sidecar sees (ObjectService) and what Store calls.
//
//   one copy, settled      its home, computed
//   mirrored, or unsettled copies.hpp says where; reads take the nearest that is good, writes and removals go to all
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/metrics.hpp"
#include "mpi/buckets.hpp"
#include "mpi/copies.hpp"
#include "mpi/disk_metrics.hpp"
#include "mpi/homes.hpp"
#include "mpi/jobs.hpp"
#include "mpi/peer_client.hpp"
#include "mpi/peer_service.hpp"
#include "mpi/placed.hpp"
#include "object/local_store.hpp"
#include "object/object_service.hpp"

namespace tarn::mpi {

class DistributedStore final : public object::ObjectService {
 public:
  struct Parts {
    std::shared_ptr<const placement::StoreMap> map;
    RankId rank = 0;
    object::LocalStore* local = nullptr;  ///< null: this rank has no disks
    Homes& homes;
    Copies& copies;
    Placed& placed;
    Buckets& buckets;
    Jobs& jobs;
  };
  /// All parts live as long as this does.
  explicit DistributedStore(Parts parts);
  void add_to(PeerService& service);

  // Beyond ObjectService, for Store.
  [[nodiscard]] Result<ObjectInfo> put(const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options);
  [[nodiscard]] Result<std::vector<std::byte>> get(const ObjectName& name);
  [[nodiscard]] Result<std::vector<std::byte>> get(const ObjectName& name, ByteRange range);
  [[nodiscard]] Result<std::size_t> read(const ObjectName& name, std::uint64_t offset, std::span<std::byte> target);

  /// The owner's description of an object, with its extents: what a Fetcher can be asked for.
  [[nodiscard]] Result<object::StoredObject> find(const ObjectName& name);

  [[nodiscard]] std::shared_ptr<const placement::StoreMap> map() const override { return parts_.map; }
  [[nodiscard]] RankId rank() const noexcept override { return parts_.rank; }
  /// The disk that has the object, or would get it by its bucket's placement. @cost a question to its home where pointers are used.
  [[nodiscard]] Result<RankId> owner(const ObjectName& name);
  [[nodiscard]] object::Location locate(std::string_view bucket, std::string_view key) const override;
  [[nodiscard]] bool has_bucket(std::string_view bucket) const override { return parts_.buckets.has(bucket); }
  [[nodiscard]] std::optional<VerifySendfile> verify_sendfile(std::string_view bucket) const override;
  [[nodiscard]] Result<std::unique_ptr<object::ObjectReader>> open(const ObjectName& name) override;
  [[nodiscard]] Result<ObjectInfo> head(const ObjectName& name) override;
  [[nodiscard]] Result<std::unique_ptr<ObjectWriter>> create(const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) override;
  [[nodiscard]] Result<void> remove(const ObjectName& name, const std::optional<Checksum>& version) override;
  [[nodiscard]] Result<ListPage> list(std::string_view bucket, const ListOptions& options) override;
  [[nodiscard]] Result<std::vector<BucketInfo>> buckets() override { return parts_.buckets.list(); }
  /// @errors also invalid: properties that this store cannot give.
  [[nodiscard]] Result<void> create_bucket(std::string_view bucket, const BucketOptions& options = {}) override;
  [[nodiscard]] Result<void> remove_bucket(std::string_view bucket) override { return parts_.buckets.remove(bucket); }
  [[nodiscard]] Result<StoreStats> stats() override;
  [[nodiscard]] Result<std::string> start_job(const base::Json& spec) override { return parts_.jobs.start(spec); }
  [[nodiscard]] Result<base::Json> job_status(std::string_view id) override { return parts_.jobs.status(id); }
  [[nodiscard]] Result<void> abort_job(std::string_view id) override { return parts_.jobs.abort(id); }
  [[nodiscard]] std::vector<std::string> troubles() const override;
  [[nodiscard]] base::Metrics& metrics() noexcept override { return metrics_; }
  void update_metrics() override { disk_metrics_.update(); }

 private:
  /// A good name in a bucket that exists. @return the bucket's properties. @errors invalid, bucket_not_found.
  [[nodiscard]] Result<BucketOptions> check(const ObjectName& name) const;
  /// Whether the one place to look for an object of this bucket can be computed.
  [[nodiscard]] bool is_plain(const BucketOptions& bucket) const noexcept {
    return bucket.mirror == 1 && parts_.copies.layout().settled() && !uses_pointers(bucket);
  }
  /// Where to read an object that is not plain.
  [[nodiscard]] Result<std::vector<Home>> readable(const ObjectName& name, const BucketOptions& bucket);
  /// The disk for the only copy; makes the bucket a scattered one where these options are the first that ask for it.
  [[nodiscard]] Result<Target> choose_target(const ObjectName& name, BucketOptions& bucket, const PutOptions& options);
  /// Tries the copies, the nearest first, until `at`, Home -> Result<T>, succeeds; mends those that turned out to be damaged.
  template <class At>
  [[nodiscard]] auto from_copies(const ObjectName& name, const BucketOptions& bucket, At at) -> std::invoke_result_t<At, Home>;
  template <class At>
  [[nodiscard]] auto try_copies(const ObjectName& name, const std::vector<Home>& homes, At at) -> std::invoke_result_t<At, Home>;
  [[nodiscard]] Result<void> remove_copies(const ObjectName& name, const BucketOptions& bucket, const std::optional<Checksum>& version);
  [[nodiscard]] Result<void> remove_found(const ObjectName& name, const BucketOptions& bucket, std::vector<FoundCopy> found,
                                          std::int64_t not_after_ns);
  [[nodiscard]] Result<std::vector<FoundCopy>> find_copies(const ObjectName& name, const BucketOptions& bucket);

  const Parts parts_;
  base::Metrics metrics_;
  DiskMetrics disk_metrics_;
};

}  // namespace tarn::mpi
