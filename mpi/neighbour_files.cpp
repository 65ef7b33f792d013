#include "mpi/neighbour_files.hpp"

#include <array>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/limits.hpp"

namespace tarn::mpi {

namespace {
constexpr std::size_t kFilesPerDisk = 64;
constexpr std::size_t kVerifiedMax = 16'384;
constexpr std::chrono::seconds kLookInterval{5};

constexpr std::size_t kPlacesMax = 32'768;
constexpr std::size_t kPlaceExtentsMax = 4;  // what is larger is not asked for often
constexpr std::size_t kPlaceMetadataMax = 4;

/// Of an object on that disk: copies have the same name. Names hold no NUL.
std::string place_key(RankId rank, std::uint32_t disk, const ObjectName& name) {
  const std::array<std::uint32_t, 2> where{static_cast<std::uint32_t>(rank), disk};
  std::string key;
  key.reserve(sizeof(where) + name.bucket.size() + 1 + name.key.size());
  return key.append(reinterpret_cast<const char*>(where.data()), sizeof(where)).append(name.bucket).append(1, '\0').append(name.key);
}

/// Whether this process finds the disk of the map under its path, and not another one of that path.
bool is_visible(const placement::Disk& disk) {
  const std::string file = disk.directory + "/disk.json";
  const auto text = base::read_text_file(base::posix_file_system(), file);
  if (!text) return false;
  const auto json = base::parse_json(*text, file);
  return json && base::json_string(*json, "disk") == disk.id.to_string();
}

}  // namespace

NeighbourFiles::NeighbourFiles(const placement::StoreMap& map, RankId rank, const SharedChanges* changes)
    : nodes_(map.ranks.size()), changes_(changes) {
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

std::shared_ptr<const object::StoredObject> NeighbourFiles::known(RankId rank, std::uint32_t disk, const ObjectName& name) const {
  const auto* const counter = changes_ == nullptr ? nullptr : changes_->of(rank);
  if (counter == nullptr) return nullptr;
  const std::string key = place_key(rank, disk, name);
  const std::lock_guard lock(places_mutex_);
  const auto at = places_.find(key);
  return at != places_.end() && counter->holds(at->second.moment) ? at->second.stored : nullptr;
}

std::optional<std::uint64_t> NeighbourFiles::moment(RankId rank) const noexcept {
  const auto* const counter = changes_ == nullptr ? nullptr : changes_->of(rank);
  return counter == nullptr ? std::nullopt : counter->moment();
}

std::shared_ptr<const object::StoredObject> NeighbourFiles::learn(RankId rank, std::uint32_t disk, const ObjectName& name,
                                                                  object::StoredObject stored, const std::optional<std::uint64_t>& moment) {
  auto place = std::make_shared<const object::StoredObject>(std::move(stored));
  if (!moment || place->extents.size() > kPlaceExtentsMax || place->info.user_metadata.size() > kPlaceMetadataMax) return place;
  std::string key = place_key(rank, disk, name);
  const std::lock_guard lock(places_mutex_);
  if (places_.size() >= kPlacesMax) places_.erase(places_.begin());  // any: asking again costs a message
  places_[std::move(key)] = {*moment, place};
  return place;
}

void NeighbourFiles::forget(RankId rank, std::uint32_t disk, const ObjectName& name) {
  const std::lock_guard lock(places_mutex_);
  places_.erase(place_key(rank, disk, name));
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
