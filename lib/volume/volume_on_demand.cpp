#include "volume/volume_on_demand.hpp"

#include "base/error.hpp"

namespace tarn::volume {

Result<std::size_t> VolumeOnDemand::read_at(std::uint64_t offset, std::span<std::byte> target) const {
  TARN_TRY(const auto file, cache_.get(volume_));
  return file->read_at(offset, target);
}

Result<std::uint64_t> VolumeOnDemand::size() const {
  TARN_TRY(const auto file, cache_.get(volume_));
  return file->size();
}

tl::unexpected<Error> VolumeOnDemand::read_only() const {
  return fail(ErrorCode::unsupported, path_ + ": is open for reading only");
}

Result<void> VolumeOnDemand::write_at(std::uint64_t /*offset*/, std::span<const std::byte> /*bytes*/) {
  return read_only();
}
Result<void> VolumeOnDemand::write_at(std::uint64_t /*offset*/, std::span<const std::span<const std::byte>> /*pieces*/) {
  return read_only();
}
Result<void> VolumeOnDemand::sync_data() {
  return read_only();
}
Result<void> VolumeOnDemand::truncate(std::uint64_t /*size_bytes*/) {
  return read_only();
}

}  // namespace tarn::volume
