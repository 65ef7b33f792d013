// endpoint_file.hpp - how clients outside of the job find the store: addresses and secrets in one file.
// Level 6 (mpi). Rank 0 writes it, when every rank serves, and removes it at the end.
//
//   {"store": uuid, "endpoints": ["http://127.0.0.1:41001", ... one per rank], "token": "...",
//    "access_key": "...", "secret_key": "...", "map_epoch": 1}
#pragma once

#include <string>

#include <tarn/result.hpp>

#include "mpi/collectives.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

/// What lets a client in; the same on every rank.
struct Secrets {
  std::string token;  ///< empty: anonymous
  std::string access_key;
  std::string secret_key;
};

/// Collective. Made by rank 0.
[[nodiscard]] Result<Secrets> share_secrets(Collectives& collectives, bool anonymous);

/// Mode 0600, by rename: it is never seen half written, nor by others. @errors io, denied, no_space.
[[nodiscard]] Result<void> write_endpoint_file(const std::string& path, const placement::StoreMap& map, const Secrets& secrets);
/// Removes the file if it is still the one with this token: another store may have written its own meanwhile.
void remove_endpoint_file(const std::string& path, const Secrets& secrets) noexcept;

}  // namespace tarn::mpi
