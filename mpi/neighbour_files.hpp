// neighbour_files.hpp - volumes of other ranks on this node, opened by this process: reads without a message.
// Level 6 (mpi). Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/event.hpp"
#include "mpi/shared_changes.hpp"
#include "object/local_store.hpp"
#include "object/object_service.hpp"
#include "placement/store_map.hpp"
#include "volume/file_cache.hpp"

namespace tarn::mpi {

class NeighbourFiles {
 public:
  /// Opens no volumes yet. `rank` is this one. A rank of this node whose directories are others here, because it has a
  /// file system of its own (containers), counts as not reachable. @cost reads a small file for each disk of the node.
  /// @param changes  of the ranks of this node; null: places are asked for each time. Outlives this.
  NeighbourFiles(const placement::StoreMap& map, RankId rank, const SharedChanges* changes = nullptr);

  /// Whether this rank's volumes can be opened here.
  [[nodiscard]] bool reaches(RankId rank) const noexcept { return nodes_[static_cast<std::size_t>(rank)]; }
  /// @errors not_found: the volume is gone (its objects were overwritten meanwhile, or the owner sees another
  ///         file system); denied, io.
  [[nodiscard]] Result<std::shared_ptr<const base::File>> volume(RankId rank, std::uint32_t disk, std::uint64_t volume);
  /// The object's extents, opened. @errors as volume(); unsupported: it has more than one reader should hold open.
  [[nodiscard]] Result<std::vector<object::FileExtent>> open(RankId rank, const object::StoredObject& stored);

  // Where objects lie, as their owners have said: true as long as nothing of the owner has changed. The last few thousand.
  /// @return null: the owner must be asked.
  [[nodiscard]] std::shared_ptr<const object::StoredObject> known(RankId rank, std::uint32_t disk, const ObjectName& name) const;
  /// For learn(), to be taken before the owner is asked. @return nullopt: its answer holds for now only.
  [[nodiscard]] std::optional<std::uint64_t> moment(RankId rank) const noexcept;
  [[nodiscard]] std::shared_ptr<const object::StoredObject> learn(RankId rank, std::uint32_t disk, const ObjectName& name,
                                                                  object::StoredObject stored, const std::optional<std::uint64_t>& moment);
  /// A place that turned out to be no more: compaction moves objects, which is no change of theirs.
  void forget(RankId rank, std::uint32_t disk, const ObjectName& name);

  // Which versions of objects have been checked against their checksum by this process: the newest few thousand.
  [[nodiscard]] bool verified(RankId rank, const object::StoredObject& stored);
  void set_verified(RankId rank, const object::StoredObject& stored);

  /// Every few seconds, closes volumes that their owners have removed: their space is not free before. Engine's thread.
  void on_tick(Clock::time_point now);

 private:
  struct Version {
    RankId rank;
    std::uint32_t disk;
    std::uint64_t sequence;
    auto operator<=>(const Version&) const = default;
  };

  std::vector<bool> nodes_;                                                                // by rank: on this node
  std::map<std::pair<RankId, std::uint32_t>, std::unique_ptr<volume::FileCache>> caches_;  // never changes after construction
  const SharedChanges* changes_;
  std::mutex mutex_;  // guards verified_
  std::set<Version> verified_;
  Clock::time_point next_look_{};  // of the engine's thread

  struct Place {
    std::uint64_t moment;
    std::shared_ptr<const object::StoredObject> stored;
  };
  mutable std::mutex places_mutex_;                // guards places_
  std::unordered_map<std::string, Place> places_;  // by rank, disk, bucket, key
};

}  // namespace tarn::mpi
