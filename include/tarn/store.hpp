// store.hpp - the distributed object store of one MPI job, as each rank sees it.
// Level 0. Resource type: move, no copy. Any thread may call anything that is not collective.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/dsort.hpp>
#include <tarn/object.hpp>
#include <tarn/options.hpp>
#include <tarn/result.hpp>

namespace tarn {

/// Counters of the whole store (sums over ranks that answered) and of this rank.
struct StoreStats {
  std::uint64_t objects = 0;
  std::uint64_t object_bytes = 0;
  std::uint64_t disk_capacity_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  int ranks = 0;
  int nodes = 0;
  bool settled = true;                 ///< Store::settled()
  std::uint64_t under_replicated = 0;  ///< objects with fewer copies than their buckets keep; counted in the background after open()
  std::string running_work;            ///< "rebalance", "dsort assemble", ...; empty: none
  struct PerRank {
    RankId rank = 0;
    std::string host;
    std::string node;
    std::string url;
    std::uint64_t disks = 0;
    std::uint64_t objects = 0;
    std::uint64_t object_bytes = 0;
    std::uint64_t disk_free_bytes = 0;
    /// Space of objects that were overwritten or removed.
    struct PerDisk {
      std::uint64_t garbage_bytes = 0;   ///< that still takes space, removals included
      std::uint64_t moved_bytes = 0;     ///< copied by compaction since the store was opened
      std::uint64_t returned_bytes = 0;  ///< of the files that compaction has removed since then
    };
    std::vector<PerDisk> per_disk;  ///< in the order of its directories
  };
  std::vector<PerRank> per_rank;
};

/// A disk of the store, as placement sees it.
struct StoreDisk {
  std::string id;  ///< a UUID
  RankId rank = 0;
  std::string node;
  std::string directory;     ///< as seen on that node
  std::uint64_t weight = 0;  ///< bytes: its share of the objects is weight / sum of all
};

/// What Store::rebalance and Store::repair did, on this rank so far, or on all.
struct RebalanceReport {
  std::uint64_t objects = 0;         ///< looked at; one with several copies counts with each
  std::uint64_t copied_objects = 0;  ///< copies made
  std::uint64_t copied_bytes = 0;
  std::uint64_t removed_copies = 0;  ///< that lay where they did not belong
  std::uint64_t failed_objects = 0;
  std::uint64_t under_replicated = 0;  ///< that had fewer copies than their buckets keep
};
struct RebalanceOptions {
  std::uint64_t bytes_per_second = 0;  ///< that each rank copies at most; 0: no limit
};
/// Called about ten times a second on the thread that called rebalance().
using RebalanceProgressFn = std::function<void(const RebalanceReport&)>;

/// A body that is written piece by piece, for objects larger than memory.
/// Destroying it before commit() leaves the store as it was.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  /// Appends bytes. @cost a copy; blocks while the owner is behind. @errors no_space, io, rank_lost.
  [[nodiscard]] virtual Result<void> write(std::span<const std::byte> bytes) = 0;
  /// Optional: ends the body and releases memory and descriptors, so that only naming is left to commit().
  /// Lets many objects be made ready before the first becomes visible.
  [[nodiscard]] virtual Result<void> prepare() { return {}; }
  /// Optional, between prepare() and commit(): reads the body back from where it was written, so that it can be
  /// checked before anyone sees it. @return bytes read; fewer than asked only at the end. @errors unsupported, io.
  [[nodiscard]] virtual Result<std::size_t> read_back(std::uint64_t /*offset*/, std::span<std::byte> /*target*/) {
    return fail(ErrorCode::unsupported, "this writer cannot read back what it wrote");
  }
  /// Makes the object visible, whole, in one step. Call once.
  [[nodiscard]] virtual Result<ObjectInfo> commit() = 0;
};

class Store {
 public:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  /// Closes nothing. A store that was not closed logs it and tells the other ranks, whose collective calls end with rank_lost from
  /// then on, `tarn serve` among them. Waits for their answers, 2 s at most. After MPI_Finalize nobody can be told.
  ~Store();

  [[nodiscard]] RankId rank() const noexcept;
  [[nodiscard]] int size() const noexcept;
  /// "http://127.0.0.1:41001", or empty when this rank has no sidecar.
  [[nodiscard]] std::string url() const;
  /// Token that the sidecars ask for; empty when anonymous.
  [[nodiscard]] std::string token() const;

  /// Makes a bucket on all ranks. Not collective: one call by any rank is enough. In one with Durability::sync every put and
  /// removal costs a sync of its disk, shared by those that wait at the time.
  /// @errors exists, invalid (name).  @cost one message to each rank.
  [[nodiscard]] Result<void> create_bucket(std::string_view bucket, const BucketOptions& options = {});
  /// Removes an empty bucket. Not collective. @errors bucket_not_found, busy (not empty).
  [[nodiscard]] Result<void> remove_bucket(std::string_view bucket);
  [[nodiscard]] Result<std::vector<BucketInfo>> buckets() const;

  /// Writes an object, whole or not at all; replaces one of the same name. Not collective.
  /// @cost local: one write; remote: one round trip for each 8 MiB.
  /// @errors bucket_not_found, invalid, no_space, io, rank_lost.
  [[nodiscard]] Result<ObjectInfo> put(const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options = {});
  /// The same for bodies larger than memory.
  [[nodiscard]] Result<std::unique_ptr<ObjectWriter>> writer(const ObjectName& name, const PutOptions& options = {});

  /// Reads a whole object, its checksum verified. Not collective. @errors not_found, corrupt, io, rank_lost.
  [[nodiscard]] Result<std::vector<std::byte>> get(const ObjectName& name);
  /// Reads part of an object. @errors also out_of_range: range.offset beyond the object's end.
  [[nodiscard]] Result<std::vector<std::byte>> get(const ObjectName& name, ByteRange range);
  /// Reads into the caller's buffer. @return bytes written: less than the buffer only at the object's end.
  [[nodiscard]] Result<std::size_t> read(const ObjectName& name, std::uint64_t offset, std::span<std::byte> target);

  [[nodiscard]] Result<ObjectInfo> head(const ObjectName& name);
  /// One page of a bucket's keys, merged over all ranks in key order. Not collective.
  /// @cost one message to each rank that has disks.
  [[nodiscard]] Result<ListPage> list(std::string_view bucket, const ListOptions& options = {});
  /// @errors not_found, bucket_not_found. An object that a reader has open stays readable for it.
  [[nodiscard]] Result<void> remove(const ObjectName& name);
  /// The disks of the store, in the order of their ids. Computed at open(); no cost.
  [[nodiscard]] std::vector<StoreDisk> placement() const;
  /// The rank whose disks hold (or would hold) this object, or its first copy. @cost computed; a question to the rank of its home where
  /// the bucket's placement is not hash, or PutOptions::placement has been used. @errors bucket_not_found is none; rank_lost, timeout.
  [[nodiscard]] Result<RankId> owner(const ObjectName& name) const;

  /// Collective. Samples of the input into new shards; see docs/DSORT.md. Every rank returns the same outcome.
  [[nodiscard]] Result<DsortReport> dsort(const DsortSpec& spec, const DsortProgressFn& progress = {});
  /// Collective. After disks have come or gone: brings every object to the disks where it belongs now, with as many copies as its
  /// bucket keeps, and removes what lies elsewhere. Only what has to move is moved. Objects can be read, written and removed
  /// meanwhile; if it is interrupted, the next one goes on where it was. Every rank returns the same outcome.
  /// @cost   a look at every object's index entry; for each one that is mirrored or out of place a question to its disks, 256 in a message.
  /// @errors no_space, corrupt (objects without a good copy; all others have been brought to their places), io, rank_lost.
  [[nodiscard]] Result<RebalanceReport> rebalance(const RebalanceOptions& options = {}, const RebalanceProgressFn& progress = {});
  /// Collective. The same, after disks were lost: mirrored objects get their copies back from those that are left.
  [[nodiscard]] Result<RebalanceReport> repair(const RebalanceOptions& options = {}, const RebalanceProgressFn& progress = {});
  /// Whether every object is known to be where it belongs: no disk has come or gone since the last rebalance. Not collective; no cost.
  [[nodiscard]] bool settled() const noexcept;
  /// Collective. Everything acknowledged so far is on stable storage when it returns.
  [[nodiscard]] Result<void> flush();
  /// Collective, like dsort() and flush(): by all ranks where they have one role. Service ranks that share the store with an application
  /// call nothing but this: it takes part in the application's collective calls, and returns when the application has closed.
  /// Everything is served until all have called it. Stops the sidecar and the service thread. Must come before MPI_Finalize.
  /// @errors invalid: ranks are in different collective calls; the store stays open. rank_lost: it is of no more use.
  [[nodiscard]] Result<void> close();

  /// Counters of all ranks. Not collective. @cost one message to each rank.
  [[nodiscard]] Result<StoreStats> stats();

  /// Serves other ranks' requests for a moment, where MPI_THREAD_MULTIPLE is missing and so no
  /// service thread runs; with one, does nothing. @return whether there was anything to do.
  bool progress();

 private:
  friend struct StoreAccess;  // for functions beside this class that need what it is made of
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn
