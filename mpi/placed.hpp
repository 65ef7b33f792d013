// placed.hpp - objects that are put on another disk than the one their key computes to: placement local, rank=N, or of one put.
// Level 6 (mpi). Any thread. lib/object/pointers.hpp says what the home keeps.
//
//   put:  home: which version is there? -> the target writes a later one -> home: pointer -> the version before goes, wherever it was
//   get:  home: pointer, or the object itself
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "mpi/copies.hpp"
#include "mpi/homes.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

/// Whether objects of the bucket may lie elsewhere than at their homes.
[[nodiscard]] inline bool uses_pointers(const BucketOptions& bucket) noexcept {
  return bucket.scattered || bucket.placement != PlacementPolicy{};
}

/// Where a put goes.
struct Target {
  Home home;
  bool pinned = false;  ///< it was asked for by this put: also noted where the target is the home, so that it stays when homes change
};

class Placed {
 public:
  /// All live as long as this does.
  Placed(std::shared_ptr<const placement::StoreMap> map, RankId rank, Homes& homes, Copies& copies)
      : map_(std::move(map)), rank_(rank), homes_(homes), copies_(copies) {}

  /// Where this rank writes an object. @errors invalid: the rank has no disk.
  [[nodiscard]] Result<Home> target(const ObjectName& name, const PlacementPolicy& policy) const;
  /// Where to look for it, in this order: where the pointer says, and the home. @cost a question to the home.
  [[nodiscard]] Result<std::vector<Home>> readable(const ObjectName& name);
  /// A writer at `target` whose commit does what put() does.
  [[nodiscard]] Result<std::unique_ptr<ObjectWriter>> create(Target target, const ObjectName& name, const PutOptions& options,
                                                             std::uint64_t size_hint);
  [[nodiscard]] Result<ObjectInfo> put(Target target, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options);
  /// After all versions up to this time have been removed.
  [[nodiscard]] Result<void> forget(const ObjectName& name, std::int64_t not_after_ns);

  // Parts of a put.
  [[nodiscard]] Result<object::CopyTerms> terms_before(const ObjectName& name);
  [[nodiscard]] Result<void> after(Target target, const ObjectName& name, std::int64_t modified_ns);
  /// nullopt: no disk of that id is here.
  [[nodiscard]] std::optional<Home> home_of_disk(const base::Uuid& id) const;
  [[nodiscard]] const placement::Disk& disk_of(Home home) const;

 private:
  const std::shared_ptr<const placement::StoreMap> map_;
  const RankId rank_;
  Homes& homes_;
  Copies& copies_;
};

}  // namespace tarn::mpi
