#include "mpi/disk_sets.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "mpi/gather_distinct.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

namespace {

constexpr std::size_t kWarningsMax = 8;

}  // namespace

Result<volume::DiskSet> exchange_known_disks(Collectives& collectives, const object::LocalStore* local) {
  const auto mine = local != nullptr ? local->known_disks() : volume::DiskSet();
  const std::string text = mine.empty() ? std::string() : base::pretty_json(volume::disk_set_to_json(mine));
  TARN_TRY(const auto lists, gather_distinct(collectives, std::as_bytes(std::span(text.data(), text.size()))));
  volume::DiskSet all;
  for (const auto& bytes : lists) {
    const auto json = base::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "a rank's list of disks");
    const auto theirs = json ? volume::disk_set_from_json(*json) : std::nullopt;
    if (!theirs) return fail(malformed("a rank's list of disks"));
    all = volume::merged(std::move(all), *theirs);
  }
  return all;
}

volume::DiskSet present_disks(const placement::StoreMap& map) {
  volume::DiskSet present;
  for (const auto& disk : map.disks) present.push_back({disk.id, disk.weight, map.ranks[static_cast<std::size_t>(disk.rank)].host, disk.directory});
  return present;  // the map has them by id
}

void warn_about_missing_disks(const volume::DiskSet& missing) {
  for (std::size_t i = 0; i < std::min(missing.size(), kWarningsMax); ++i)
    base::log_warn("disk " + missing[i].id.to_string() + " (last seen at " + missing[i].host + ":" + missing[i].directory +
                   ") is missing: objects of which it has the only copy are not found; open the store with all of its directories to read them");
  if (missing.size() > kWarningsMax)
    base::log_warn(std::to_string(missing.size() - kWarningsMax) + " more disks are missing, " + std::to_string(missing.size()) + " in all");
}

}  // namespace tarn::mpi
