// neighbour_files.hpp - volumes of other ranks on this node, opened by this process: reads without a message.
// Level 6 (mpi). Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

#include "mpi/event.hpp"
#include "object/local_store.hpp"
#include "object/object_service.hpp"
#include "placement/store_map.hpp"
#include "volume/file_cache.hpp"

namespace tarn::mpi {

class NeighbourFiles {
 public:
  /// Opens no volumes yet. `rank` is this one. A rank of this node whose directories are others here, because it has a
  /// file system of its own (containers), counts as not reachable. @cost reads a small file for each disk of the node.
  NeighbourFiles(const placement::StoreMap& map, RankId rank);

  /// Whether this rank's volumes can be opened here.
  [[nodiscard]] bool reaches(RankId rank) const noexcept { return nodes_[static_cast<std::size_t>(rank)]; }
  /// @errors not_found: the volume is gone (its objects were overwritten meanwhile, or the owner sees another
  ///         file system); denied, io.
  [[nodiscard]] Result<std::shared_ptr<const base::File>> volume(RankId rank, std::uint32_t disk, std::uint64_t volume);
  /// The object's extents, opened. @errors as volume(); unsupported: it has more than one reader should hold open.
  [[nodiscard]] Result<std::vector<object::FileExtent>> open(RankId rank, const object::StoredObject& stored);

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
  std::mutex mutex_;                                                                       // guards verified_
  std::set<Version> verified_;
  Clock::time_point next_look_{};  // of the engine's thread
};

}  // namespace tarn::mpi
