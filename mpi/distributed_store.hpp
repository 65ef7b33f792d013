// distributed_store.hpp - all ranks' objects as one store: finds the owner and goes there the shortest way.
// Level 6 (mpi). Any thread. What the sidecar sees (ObjectService) and what Store calls.
//
//   this rank owns it            LocalStore
//   a rank of this node does     one question to the owner, then its volume file, read here
//   another node's               the owner sends the bytes
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/metrics.hpp"
#include "mpi/buckets.hpp"
#include "mpi/disk_metrics.hpp"
#include "mpi/neighbour_files.hpp"
#include "mpi/peer_client.hpp"
#include "mpi/peer_service.hpp"
#include "mpi/sort_jobs.hpp"
#include "object/local_store.hpp"
#include "object/object_service.hpp"
#include "placement/placement.hpp"

namespace tarn::mpi {

class DistributedStore final : public object::ObjectService {
 public:
  struct Parts {
    std::shared_ptr<const placement::StoreMap> map;
    RankId rank = 0;
    object::LocalStore* local = nullptr;  ///< null: this rank has no disks
    PeerClient& client;
    NeighbourFiles& neighbours;
    Buckets& buckets;
    SortJobs& jobs;
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
  [[nodiscard]] object::Location locate(std::string_view bucket, std::string_view key) const override;
  [[nodiscard]] bool has_bucket(std::string_view bucket) const override { return parts_.buckets.has(bucket); }
  [[nodiscard]] Result<std::unique_ptr<object::ObjectReader>> open(const ObjectName& name) override;
  [[nodiscard]] Result<ObjectInfo> head(const ObjectName& name) override;
  [[nodiscard]] Result<std::unique_ptr<ObjectWriter>> create(const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) override;
  [[nodiscard]] Result<void> remove(const ObjectName& name, const std::optional<Checksum>& version) override;
  [[nodiscard]] Result<ListPage> list(std::string_view bucket, const ListOptions& options) override;
  [[nodiscard]] Result<std::vector<BucketInfo>> buckets() override { return parts_.buckets.list(); }
  [[nodiscard]] Result<void> create_bucket(std::string_view bucket, const BucketOptions& options = {}) override {
    return parts_.buckets.create(bucket, options);
  }
  [[nodiscard]] Result<void> remove_bucket(std::string_view bucket) override { return parts_.buckets.remove(bucket); }
  [[nodiscard]] Result<StoreStats> stats() override;
  [[nodiscard]] Result<std::string> start_sort(const base::Json& spec) override { return parts_.jobs.start(spec); }
  [[nodiscard]] Result<base::Json> sort_status(std::string_view id) override { return parts_.jobs.status(id); }
  [[nodiscard]] Result<void> abort_sort(std::string_view id) override { return parts_.jobs.abort(id); }
  [[nodiscard]] std::vector<std::string> troubles() const override;
  [[nodiscard]] base::Metrics& metrics() noexcept override { return metrics_; }
  void update_metrics() override { disk_metrics_.update(); }

 private:
  [[nodiscard]] Home home(const ObjectName& name) const;
  [[nodiscard]] bool is_here(Home home) const noexcept { return home.rank == parts_.rank; }
  /// A good name in a bucket that exists. @errors invalid, bucket_not_found.
  [[nodiscard]] Result<void> check(const ObjectName& name) const;
  /// The object in a neighbour's files; null: not that way, ask the owner.
  [[nodiscard]] Result<std::unique_ptr<object::ObjectReader>> open_neighbour(Home home, const ObjectName& name);
  [[nodiscard]] Result<std::unique_ptr<object::ObjectReader>> open_at(Home home, const ObjectName& name);

  const Parts parts_;
  const placement::Placement placement_;
  std::vector<RankId> storage_ranks_;  // that have disks
  base::Metrics metrics_;
  DiskMetrics disk_metrics_;
};

}  // namespace tarn::mpi
