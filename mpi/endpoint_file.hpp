// endpoint_file.hpp - how clients outside of the job find the store: addresses and secrets in one file.
// Level 6 (mpi). One rank (Members::endpoint_writer) writes it, when every rank serves, and removes it at the end.
//
//   {"store": uuid, "endpoints": ["http://127.0.0.1:41001", ... one per rank that has a sidecar], "token": "...",
//    "access_key": "...", "secret_key": "...", "map_epoch": 1}
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <tarn/result.hpp>

#include "base/file.hpp"
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

/// The writer's hold on the file, from before the disks are opened to the end of the store: a lock (flock) on what lies under
/// the name, so that a second store cannot take the name over. Where the file system has no locks nothing is noticed.
class EndpointFile {
 public:
  /// A file that a store which is gone has left is no obstacle.
  /// @errors busy: a running store has it, with its address; not_found, denied: the directory above it.
  [[nodiscard]] static Result<EndpointFile> claim(const std::string& path);

  /// Mode 0600, by rename: it is never seen half written, nor by others. @errors busy, io, denied, no_space.
  [[nodiscard]] Result<void> write(const placement::StoreMap& map, const Secrets& secrets);
  /// Removes what write() has written, if it is still there. Without it the file stays, without a lock.
  void remove() noexcept;

 private:
  explicit EndpointFile(std::string path) : path_(std::move(path)) {}
  /// Locks the file that lies there now. @return false: there is none. @errors busy.
  [[nodiscard]] Result<bool> lock_present();
  /// Gives the finished, locked file its name. @errors busy: another store was faster.
  [[nodiscard]] Result<void> put_in_place(const std::string& temporary);

  std::string path_;
  std::unique_ptr<base::File> locked_;  // an earlier store's, then ours
  bool written_ = false;
};

}  // namespace tarn::mpi
