// reader.hpp - one version of a local object, open for reading.
// Level 3 (object). One thread at a time; outlives overwrites and removals, must not outlive its Disk.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/hash.hpp"
#include "object/object_service.hpp"
#include "object/verified_extents.hpp"
#include "volume/disk.hpp"
#include "volume/record.hpp"

namespace tarn::object {

/// The files that hold a record's extents. Those of a record of many are opened as they are read, and held meanwhile: whoever may
/// be overtaken by an overwrite looks the name up again then, on_demand() tells.
/// @errors not_found: a volume is gone (look the name up again: it was overwritten).
[[nodiscard]] Result<std::vector<FileExtent>> open_extents(const volume::Disk& disk, const volume::Record& record);
[[nodiscard]] bool on_demand(std::span<const FileExtent> extents) noexcept;
/// Reads part of an object that lies in these extents. @errors io, corrupt (a file is too short).
[[nodiscard]] Result<void> read_extents(std::span<const FileExtent> extents, std::uint64_t offset, std::span<std::byte> target);

class LocalReader final : public ObjectReader {
 public:
  LocalReader(const volume::Disk& disk, const ObjectName& name, ObjectInfo info, std::uint64_t sequence, std::vector<FileExtent> extents);

  [[nodiscard]] const ObjectInfo& info() const noexcept override { return info_; }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> target) override;
  [[nodiscard]] std::vector<FileExtent> extents() const override {
    return on_demand(blocks_.extents()) ? std::vector<FileExtent>() : blocks_.extents();
  }
  [[nodiscard]] bool verified() const noexcept override { return disk_.verified(sequence_); }

 private:
  [[nodiscard]] Result<void> read_all(std::span<std::byte> target);
  [[nodiscard]] Result<void> read_part(std::uint64_t offset, std::span<std::byte> target);
  [[nodiscard]] Result<void> follow(std::uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> check(const Checksum& checksum) const;

  const volume::Disk& disk_;
  const ObjectName name_;
  const ObjectInfo info_;
  const std::uint64_t sequence_;
  VerifiedExtents blocks_;
  std::vector<std::byte> small_;                // the whole object, verified, once a part of a small one was asked for
  std::optional<base::ChecksumStream> stream_;  // of bytes [0, next_), while they are read in order
  std::uint64_t next_ = 0;
};

}  // namespace tarn::object
