// store_fetcher.hpp - the Fetcher of an open store.
// Level 6 (mpi). Any thread.
#pragma once

#include <vector>

#include "mpi/fetcher.hpp"
#include "mpi/neighbour_files.hpp"
#include "mpi/peer_client.hpp"
#include "object/local_store.hpp"

namespace tarn::mpi {

class StoreFetcher final : public Fetcher {
 public:
  /// All live as long as this does. `local` is null on a rank without disks.
  StoreFetcher(RankId rank, const object::LocalStore* local, NeighbourFiles& neighbours, PeerClient& client)
      : rank_(rank), local_(local), neighbours_(neighbours), client_(client) {}

  [[nodiscard]] Result<void> fetch(std::span<const FetchRequest> requests) override;

 private:
  /// Reads an extent of this node. @return false: its volume cannot be opened here, the owner must be asked.
  [[nodiscard]] Result<bool> read_here(const FetchRequest& request);
  [[nodiscard]] Result<void> fetch_from_peers(std::span<const FetchRequest> requests);

  const RankId rank_;
  const object::LocalStore* local_;
  NeighbourFiles& neighbours_;
  PeerClient& client_;
};

}  // namespace tarn::mpi
