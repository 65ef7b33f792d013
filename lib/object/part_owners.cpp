#include "object/part_owners.hpp"

#include <string>

#include "base/error.hpp"

namespace tarn::object {

Result<PartOwners> PartOwners::make(volume::Disk& disk) {
  PartOwners owners;
  TARN_CHECK(disk.scan({}, [&](std::string_view key, std::span<const std::byte> value) {
    if (!volume::is_assembled(value)) return volume::ScanStep{};
    const auto record = volume::decode_record(value);
    if (!record) return volume::ScanStep{};
    for (const auto& extent : record->extents) owners.parts_[extent.volume] = {extent, owners.owners_.size()};
    owners.owners_.push_back({{std::string(key.substr(0, key.find('\0'))), std::string(volume::object_key(key))}, record->sequence});
    return volume::ScanStep{};
  }));
  return owners;
}

const PartOwners::Part* PartOwners::find(std::uint64_t volume) const {
  const auto found = parts_.find(volume);
  return found == parts_.end() ? nullptr : &found->second;
}

}  // namespace tarn::object
