#include "placement/placement.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <span>
#include <string>

#include "base/assert.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "placement/log2_table.hpp"

namespace tarn::placement {

namespace {

std::uint64_t hash_name(std::string_view bucket, std::string_view whole_key) noexcept {
  const std::string_view key = placement_tag(whole_key);
  std::array<char, limits::kBucketNameBytesMax + 1 + limits::kKeyBytesMax> joined;
  const std::size_t size = bucket.size() + 1 + key.size();
  TARN_ASSERT(size <= joined.size());  // names are checked where they enter
  std::memcpy(joined.data(), bucket.data(), bucket.size());
  joined[bucket.size()] = '\0';
  std::memcpy(joined.data() + bucket.size() + 1, key.data(), key.size());
  return base::xxh3_64(std::string_view(joined.data(), size));
}

/// The finaliser of splitmix64 (Stafford's variant 13): every input bit reaches every output bit.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// One disk's claim on a key.
struct Claim {
  std::uint64_t draw = 0;  ///< u_d
  std::uint64_t cost = 0;  ///< -log2(u_d)
  std::uint64_t weight = 1;
  std::size_t disk = 0;
};

Claim make_claim(std::uint64_t draw, std::uint64_t weight, std::size_t disk) noexcept {
  return {draw, negative_log2(std::max<std::uint64_t>(draw, 1)), weight, disk};
}

/// cost / weight compared exactly, by cross multiplication; ties by draw, then by disk id, so that the order is total
/// and, among equal weights, is the order of draws.
bool before(const Claim& a, const Claim& b) noexcept {
  const Uint128 left = static_cast<Uint128>(a.cost) * b.weight;
  const Uint128 right = static_cast<Uint128>(b.cost) * a.weight;
  if (left != right) return left < right;
  if (a.draw != b.draw) return a.draw > b.draw;
  return a.disk < b.disk;
}

}  // namespace

std::string_view placement_tag(std::string_view key) noexcept {
  const std::size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const std::size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

Placement::Placement(const StoreMap& map) {
  std::map<std::string, std::size_t> nodes;
  seeds_.reserve(map.disks.size());
  weights_.reserve(map.disks.size());
  for (const Disk& disk : map.disks) {
    TARN_ASSERT(disk.weight > 0);
    seeds_.push_back(base::xxh3_64(std::as_bytes(std::span(disk.id.bytes))));
    weights_.push_back(disk.weight);
    ranks_.push_back(disk.rank);
    const std::string node = map.ranks.empty() ? std::string() : map.ranks[static_cast<std::size_t>(disk.rank)].node;
    nodes_.push_back(nodes.emplace(node, nodes.size()).first->second);
    equal_weights_ = equal_weights_ && disk.weight == weights_.front();
  }
}

std::size_t Placement::home_disk(std::string_view bucket, std::string_view key) const noexcept {
  TARN_ASSERT(!seeds_.empty());
  const std::uint64_t key_hash = hash_name(bucket, key);
  if (!equal_weights_) return lightest_draw(key_hash);
  std::size_t best = 0;
  std::uint64_t best_draw = mix(key_hash ^ seeds_[0]);
  for (std::size_t i = 1; i < seeds_.size(); ++i) {
    const std::uint64_t draw = mix(key_hash ^ seeds_[i]);
    if (draw > best_draw) {
      best = i;
      best_draw = draw;
    }
  }
  return best;
}

std::size_t Placement::lightest_draw(std::uint64_t key_hash) const noexcept {
  Claim best = make_claim(mix(key_hash ^ seeds_[0]), weights_[0], 0);
  for (std::size_t i = 1; i < seeds_.size(); ++i) {
    const std::uint64_t draw = mix(key_hash ^ seeds_[i]);
    if (draw <= best.draw && weights_[i] <= best.weight) continue;  // cannot win: spares most logarithms
    const Claim claim = make_claim(draw, weights_[i], i);
    if (before(claim, best)) best = claim;
  }
  return best.disk;
}

std::vector<std::size_t> Placement::ranking(std::string_view bucket, std::string_view key, std::size_t count) const {
  const std::uint64_t key_hash = hash_name(bucket, key);
  std::vector<Claim> claims;
  claims.reserve(seeds_.size());
  for (std::size_t i = 0; i < seeds_.size(); ++i) claims.push_back(make_claim(mix(key_hash ^ seeds_[i]), weights_[i], i));
  count = std::min(count, claims.size());
  std::partial_sort(claims.begin(), claims.begin() + static_cast<std::ptrdiff_t>(count), claims.end(), before);
  std::vector<std::size_t> disks;
  disks.reserve(count);
  for (std::size_t i = 0; i < count; ++i) disks.push_back(claims[i].disk);
  return disks;
}

std::vector<std::size_t> Placement::holders(std::string_view bucket, std::string_view key, std::size_t copies) const {
  if (copies <= 1) return {home_disk(bucket, key)};
  const auto order = ranking(bucket, key, seeds_.size());
  std::vector<std::size_t> chosen;
  const auto choose = [&](const auto& is_like) {  // those that are like none of the chosen ones
    for (const std::size_t disk : order) {
      if (chosen.size() == std::min(copies, order.size())) return;
      if (std::none_of(chosen.begin(), chosen.end(), [&](std::size_t other) { return is_like(disk, other); })) chosen.push_back(disk);
    }
  };
  choose([&](std::size_t a, std::size_t b) { return nodes_[a] == nodes_[b]; });
  choose([&](std::size_t a, std::size_t b) { return ranks_[a] == ranks_[b]; });
  choose([&](std::size_t a, std::size_t b) { return a == b; });
  return chosen;
}

std::optional<std::size_t> Placement::disk_of_rank(std::string_view bucket, std::string_view key, RankId rank) const {
  const std::uint64_t key_hash = hash_name(bucket, key);
  std::optional<Claim> best;
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    if (ranks_[i] != rank) continue;
    const Claim claim = make_claim(mix(key_hash ^ seeds_[i]), weights_[i], i);
    if (!best || before(claim, *best)) best = claim;
  }
  return best ? std::optional(best->disk) : std::nullopt;
}

std::size_t home_disk(const StoreMap& map, std::string_view bucket, std::string_view key) {
  return Placement(map).home_disk(bucket, key);
}

std::vector<std::size_t> ranking(const StoreMap& map, std::string_view bucket, std::string_view key, std::size_t count) {
  return Placement(map).ranking(bucket, key, count);
}

}  // namespace tarn::placement
