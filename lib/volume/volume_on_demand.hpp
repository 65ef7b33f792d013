// volume_on_demand.hpp - a volume for reading that is opened when it is read: an object may have more extents than a process may have
// files open.
// Level 2 (volume). Any thread; must not outlive its cache.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file.hpp"
#include "volume/file_cache.hpp"
#include "volume/volume_pins.hpp"

namespace tarn::volume {

class VolumeOnDemand final : public base::File {
 public:
  /// @param hold  keeps the volume from being unlinked.
  VolumeOnDemand(FileCache& cache, const std::string& directory, std::uint64_t volume, VolumePin hold)
      : cache_(cache), volume_(volume), path_(volume_file_path(directory, volume)), hold_(std::move(hold)) {}

  /// @errors also those of opening it. @cost an open when the cache has it no more.
  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override;
  [[nodiscard]] Result<std::uint64_t> size() const override;
  [[nodiscard]] int descriptor() const noexcept override { return -1; }
  [[nodiscard]] const std::string& path() const noexcept override { return path_; }
  // It is for reading.
  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override;
  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override;
  [[nodiscard]] Result<void> sync_data() override;
  [[nodiscard]] Result<void> truncate(std::uint64_t size_bytes) override;

 private:
  [[nodiscard]] tl::unexpected<Error> read_only() const;

  FileCache& cache_;
  const std::uint64_t volume_;
  const std::string path_;
  const VolumePin hold_;
};

}  // namespace tarn::volume
