// object_service.hpp - the whole store as the sidecar (and HDF5) sees it: what is here, where the rest is.
// Level 3 (object). Any thread. Implemented by the distributed store in mpi/ and by a single-rank one for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/options.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/metrics.hpp"
#include "placement/store_map.hpp"

namespace tarn::object {

/// Bytes of a file that this process has open: what sendfile(2) needs.
struct FileExtent {
  std::shared_ptr<const base::File> file;
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
  bool blocks = false;  ///< a table with a hash for each 64 KiB of it follows in the file (volume/block_table.hpp)
};

/// One version of one object, open for reading. Overwrites and removals do not disturb it.
/// One thread at a time.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  [[nodiscard]] virtual const ObjectInfo& info() const noexcept = 0;
  /// @return bytes written to target, all of them verified; less than its size only at the end. Reading the whole
  ///         object from 0 in order also verifies its checksum: the call that would give the last byte fails with
  ///         `corrupt` instead when it does not match. (A reader of another rank's object verifies parts where they lie.)
  /// @cost   local and neighbour: pread; remote: a round trip for each 8 MiB, and it blocks.
  [[nodiscard]] virtual Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> target) = 0;
  /// The object's bytes as extents of open files, in order; empty when they are not in files of this node, or in more than one
  /// reader should hold open.
  [[nodiscard]] virtual std::vector<FileExtent> extents() const = 0;
  /// Whether this version's bytes have been checked against the checksum since the store was opened;
  /// if not, send by read(), which checks.
  [[nodiscard]] virtual bool verified() const noexcept = 0;
  /// Whether read() may wait for other ranks although there are extents: another copy may have to take over.
  [[nodiscard]] virtual bool may_wait() const noexcept { return false; }
};

struct Location {
  RankId owner = -1;
  bool here = false;       ///< this rank owns it
  bool same_node = false;  ///< a copy's files can be opened by this process
  bool waits = true;       ///< calls may wait for other ranks: always when it is not here, and when other copies have a say
};

class ObjectService {
 public:
  virtual ~ObjectService() = default;

  [[nodiscard]] virtual std::shared_ptr<const placement::StoreMap> map() const = 0;
  [[nodiscard]] virtual RankId rank() const noexcept = 0;
  /// @cost a hash for each disk; never blocks.
  [[nodiscard]] virtual Location locate(std::string_view bucket, std::string_view key) const = 0;
  /// @cost a lookup in memory.
  [[nodiscard]] virtual bool has_bucket(std::string_view bucket) const = 0;
  /// What the bucket's ChecksumPolicy says; nullopt: as the sidecar's option does. @cost a lookup in memory.
  [[nodiscard]] virtual std::optional<VerifySendfile> verify_sendfile(std::string_view /*bucket*/) const { return std::nullopt; }

  // These work for every object; they block on the network when locate() says that they wait.
  [[nodiscard]] virtual Result<std::unique_ptr<ObjectReader>> open(const ObjectName& name) = 0;
  [[nodiscard]] virtual Result<ObjectInfo> head(const ObjectName& name) = 0;
  /// size_hint: body size when known, UINT64_MAX otherwise (chooses between shared and solo volume).
  [[nodiscard]] virtual Result<std::unique_ptr<ObjectWriter>> create(const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) = 0;
  /// @param version  only if the object has this checksum at that moment. @errors also aborted: it has another one.
  [[nodiscard]] virtual Result<void> remove(const ObjectName& name, const std::optional<Checksum>& version) = 0;

  // These talk to every rank that has disks: they block.
  [[nodiscard]] virtual Result<ListPage> list(std::string_view bucket, const ListOptions& options) = 0;
  [[nodiscard]] virtual Result<std::vector<BucketInfo>> buckets() = 0;
  [[nodiscard]] virtual Result<void> create_bucket(std::string_view bucket, const BucketOptions& options = {}) = 0;
  [[nodiscard]] virtual Result<void> remove_bucket(std::string_view bucket) = 0;
  [[nodiscard]] virtual Result<StoreStats> stats() = 0;

  /// Starts work on all ranks: a dsort, or with {"rebalance": {"bytes_per_second": n}} a rebalance. One job runs after the other.
  /// @return its id, "srt-..." or "reb-...". @errors invalid, before any work.
  [[nodiscard]] virtual Result<std::string> start_job(const base::Json& spec) = 0;
  /// `{"id","state":"running|finished|aborted|failed","phase","done","total","report":{...},"error":{...}}`; not_found.
  [[nodiscard]] virtual Result<base::Json> job_status(std::string_view id) = 0;
  [[nodiscard]] virtual Result<void> abort_job(std::string_view id) = 0;

  /// What is wrong on this rank now; empty: healthy. One sentence per trouble.
  [[nodiscard]] virtual std::vector<std::string> troubles() const = 0;
  [[nodiscard]] virtual base::Metrics& metrics() noexcept = 0;
  /// Sets those of the disks, before they are written out.
  virtual void update_metrics() {}
};

}  // namespace tarn::object
