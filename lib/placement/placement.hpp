// placement.hpp - a key's home among the disks, computed and never asked for: weighted rendezvous hashing.
// Level 2 (placement). Pure: the same map and name give the same answer on every machine, for ever.
// A change of any value here moves users' data; tests/unit/placement holds golden values.
//
//   key hash   k   = XXH3-64(bucket 00 key), or of the tag instead of the key where it has one
//   disk seed  s_d = XXH3-64(the 16 bytes of the disk's id)
//   draw       u_d = mix(k xor s_d) / 2^64            (mix: the finaliser of splitmix64)
//   score          = -log2(u_d) / weight_d            the smallest wins, then the next, ...
//
// -log(u) is exponentially distributed, so a disk wins with probability weight / sum of weights, and a
// disk that comes or goes changes no other disk's score: only its own share of the keys moves
// (Thaler and Ravishankar 1998; weights: Schindelhauer and Schomaker 2005, "logarithmic method").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "placement/store_map.hpp"

namespace tarn::placement {

/// What decides instead of the whole key: keys of a bucket that share a tag share their disks. It is what stands between the first
/// '{' and the first '}' behind it, unless that is nothing: the whole key then. @source Redis Cluster specification, "Hash tags"
[[nodiscard]] std::string_view placement_tag(std::string_view key) noexcept;

/// What placement needs of a StoreMap, prepared once per map. Any thread may call a const Placement.
class Placement {
 public:
  /// Keeps nothing of `map`. Every disk has a weight > 0.
  explicit Placement(const StoreMap& map);

  /// Index into map.disks of the disk where this object belongs. There is at least one disk.
  /// @cost one hash of the name and about 2 ns per disk.
  [[nodiscard]] std::size_t home_disk(std::string_view bucket, std::string_view key) const noexcept;

  /// The first `count` disks in the order in which they would take the object over, the home first;
  /// all of them when there are fewer. @cost about 10 ns per disk.
  [[nodiscard]] std::vector<std::size_t> ranking(std::string_view bucket, std::string_view key, std::size_t count) const;

  /// The disks that hold the copies of an object: in the order of ranking(), those whose node has none yet; where there are fewer
  /// nodes than copies, then those whose rank has none yet; where there are fewer ranks, any. Fewer than `copies` only where there are
  /// fewer disks. The first is the home. @cost as ranking() of all disks; of one copy, as home_disk().
  [[nodiscard]] std::vector<std::size_t> holders(std::string_view bucket, std::string_view key, std::size_t copies) const;
  /// The first disk of a rank in the order of ranking(). @return nullopt: the rank has none.
  [[nodiscard]] std::optional<std::size_t> disk_of_rank(std::string_view bucket, std::string_view key, RankId rank) const;

  [[nodiscard]] std::size_t disks() const noexcept { return seeds_.size(); }

 private:
  [[nodiscard]] std::size_t lightest_draw(std::uint64_t key_hash) const noexcept;

  std::vector<std::uint64_t> seeds_;    // by disk
  std::vector<std::uint64_t> weights_;  // by disk
  std::vector<RankId> ranks_;           // by disk
  std::vector<std::size_t> nodes_;      // by disk: equal for disks of one node
  bool equal_weights_ = true;           // then the largest draw wins and no logarithm is needed
};

/// For single questions; who asks often keeps a Placement.
[[nodiscard]] std::size_t home_disk(const StoreMap& map, std::string_view bucket, std::string_view key);
[[nodiscard]] std::vector<std::size_t> ranking(const StoreMap& map, std::string_view bucket, std::string_view key, std::size_t count);

}  // namespace tarn::placement
