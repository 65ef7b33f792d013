#include "mpi/neighbour_files.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/limits.hpp"

namespace tarn::mpi {

namespace {
constexpr std::size_t kFilesPerDisk = 64;
constexpr std::size_t kVerifiedMax = 16'384;
constexpr std::chrono::seconds kLookInterval{5};

/// Whether this process finds the disk of the map under its path, and not another one of that path.
bool is_visible(const placement::Disk& disk) {
  const std::string file = disk.directory + "/disk.json";
  const auto text = base::read_text_file(base::posix_file_system(), file);
  if (!text) return false;
  const auto json = base::parse_json(*text, file);
  return json && base::json_string(*json, "disk") == disk.id.to_string();
}

}  // namespace

NeighbourFiles::NeighbourFiles(const placement::StoreMap& map, RankId rank) : nodes_(map.ranks.size()) {
  const auto& here = map.ranks[static_cast<std::size_t>(rank)].node;
  for (std::size_t r = 0; r < map.ranks.size(); ++r) nodes_[r] = map.ranks[r].node == here && static_cast<RankId>(r) != rank;
  for (const auto& disk : map.disks)
    if (reaches(disk.rank) && !is_visible(disk)) nodes_[static_cast<std::size_t>(disk.rank)] = false;
  for (const auto& disk : map.disks)
    if (reaches(disk.rank))
      caches_[{disk.rank, disk.index}] = std::make_unique<volume::FileCache>(base::posix_file_system(), disk.directory, kFilesPerDisk);
}

Result<std::shared_ptr<const base::File>> NeighbourFiles::volume(RankId rank, std::uint32_t disk, std::uint64_t volume) {
  const auto at = caches_.find({rank, disk});
  if (at == caches_.end())
    return fail(ErrorCode::not_found, "rank " + std::to_string(rank) + " has no disk " + std::to_string(disk) + " on this node");
  return at->second->get(volume);
}

Result<std::vector<object::FileExtent>> NeighbourFiles::open(RankId rank, const object::StoredObject& stored) {
  if (stored.extents.size() > limits::kOpenExtentsMax)  // nobody would hold its volumes for this rank while they are closed
    return fail(ErrorCode::unsupported, stored.info.key + ": lies in " + std::to_string(stored.extents.size()) + " volumes; its rank reads it");
  std::vector<object::FileExtent> extents;
  extents.reserve(stored.extents.size());
  for (const auto& extent : stored.extents) {
    TARN_TRY(auto file, volume(rank, stored.disk, extent.volume));
    extents.push_back({std::move(file), extent.offset, extent.length_bytes, extent.blocks});
  }
  return extents;
}

bool NeighbourFiles::verified(RankId rank, const object::StoredObject& stored) {
  const std::lock_guard lock(mutex_);
  return verified_.count({rank, stored.disk, stored.sequence}) != 0;
}

void NeighbourFiles::set_verified(RankId rank, const object::StoredObject& stored) {
  const std::lock_guard lock(mutex_);
  verified_.insert({rank, stored.disk, stored.sequence});
  if (verified_.size() > kVerifiedMax) verified_.clear();  // forgetting costs a check, no more
}

void NeighbourFiles::on_tick(Clock::time_point now) {
  if (now < next_look_) return;
  next_look_ = now + kLookInterval;
  for (const auto& [disk, cache] : caches_) cache->drop_unlinked();
}

}  // namespace tarn::mpi
