// store_map.hpp - who is in the store: ranks, nodes, disks, addresses. Computed at open, then immutable.
// Level 2 (placement). Value types; shared between threads as shared_ptr<const StoreMap>.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tarn/object.hpp>

#include "base/uuid.hpp"

namespace tarn::placement {

struct Disk {
  base::Uuid id;
  std::uint64_t weight = 0;  ///< capacity in bytes when the disk was created; > 0; fixed for the disk's life
  RankId rank = -1;          ///< that serves it now
  std::uint32_t index = 0;   ///< among its rank's disks
  std::string directory;     ///< absolute, as seen on its node

  friend bool operator==(const Disk&, const Disk&) = default;
};

struct Rank {
  RankId rank = 0;
  std::string host;
  std::string node;  ///< equal for ranks that can open each other's files
  std::string url;   ///< of its sidecar, without a final '/'; empty: none

  friend bool operator==(const Rank&, const Rank&) = default;
};

struct StoreMap {
  base::Uuid store_id;
  std::uint64_t epoch = 1;
  std::vector<Rank> ranks;  ///< by rank
  std::vector<Disk> disks;  ///< by id: the order is the same on every rank

  friend bool operator==(const StoreMap&, const StoreMap&) = default;
};

}  // namespace tarn::placement
