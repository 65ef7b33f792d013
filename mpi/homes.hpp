// homes.hpp - one copy of an object on a disk of the store, reached the shortest way.
// Level 6 (mpi). Any thread.
//
//   a disk of this rank          LocalStore
//   of a rank on this node       one question to the owner, then its volume file, read here
//   of another node's            the owner sends the bytes
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "mpi/neighbour_files.hpp"
#include "mpi/peer_client.hpp"
#include "object/copy_terms.hpp"
#include "object/local_store.hpp"
#include "object/object_service.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

class Homes {
 public:
  /// @param local  null: this rank has no disks. All live as long as this does.
  Homes(RankId rank, object::LocalStore* local, PeerClient& client, NeighbourFiles& neighbours)
      : rank_(rank), local_(local), client_(client), neighbours_(neighbours) {}

  [[nodiscard]] bool is_here(Home home) const noexcept { return home.rank == rank_; }
  [[nodiscard]] bool is_on_this_node(Home home) const noexcept { return is_here(home) || neighbours_.reaches(home.rank); }
  /// 0: this rank's; 1: this node's; 2: another node's.
  [[nodiscard]] int distance(Home home) const noexcept { return is_here(home) ? 0 : is_on_this_node(home) ? 1 : 2; }

  // As the functions of LocalStore and PeerClient.
  [[nodiscard]] Result<object::StoredObject> find(Home home, const ObjectName& name);
  [[nodiscard]] Result<std::unique_ptr<object::ObjectReader>> open(Home home, const ObjectName& name);
  [[nodiscard]] Result<std::vector<std::byte>> get(Home home, const ObjectName& name);
  [[nodiscard]] Result<std::size_t> read(Home home, const ObjectName& name, std::uint64_t offset, std::span<std::byte> target);
  [[nodiscard]] Result<ObjectInfo> put(Home home, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options,
                                       const object::CopyTerms& terms = {});
  [[nodiscard]] Result<std::unique_ptr<object::CopyWriter>> create(Home home, const ObjectName& name, const PutOptions& options,
                                                                   std::uint64_t size_hint);
  [[nodiscard]] Result<void> remove(Home home, const ObjectName& name, const std::optional<Checksum>& version);
  [[nodiscard]] Result<bool> remove_copy(Home home, const ObjectName& name, std::int64_t not_after_ns);
  // As the functions of object::Pointers.
  [[nodiscard]] Result<object::Whereabouts> where(Home home, const ObjectName& name);
  [[nodiscard]] Result<object::Pointers::Outcome> point(Home home, const ObjectName& name, const object::Pointer& pointer);
  [[nodiscard]] Result<std::optional<object::Pointer>> unpoint(Home home, const ObjectName& name, std::int64_t not_after_ns);
  /// A whole object from one disk to another, as a copy of that version. @return bytes copied. @cost a buffer of 1 MiB.
  [[nodiscard]] Result<std::uint64_t> copy(Home from, Home to, const ObjectName& name, object::CopyTerms::Kind kind);

  [[nodiscard]] PeerClient& client() noexcept { return client_; }

 private:
  /// In a neighbour's files; null: not that way, ask the owner.
  [[nodiscard]] Result<std::unique_ptr<object::ObjectReader>> open_neighbour(Home home, const ObjectName& name);

  const RankId rank_;
  object::LocalStore* const local_;
  PeerClient& client_;
  NeighbourFiles& neighbours_;
};

/// The home of a disk of the map.
[[nodiscard]] inline Home home_of(const placement::Disk& disk) noexcept {
  return {disk.rank, disk.index};
}

}  // namespace tarn::mpi
