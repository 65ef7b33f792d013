// verified_extents.hpp - parts of an object out of volume files, verified block by block before anybody sees them.
// Level 3 (object). One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "object/object_service.hpp"
#include "volume/block_table.hpp"

namespace tarn::object {

class VerifiedExtents {
 public:
  VerifiedExtents(const ObjectName& name, std::vector<FileExtent> extents);

  [[nodiscard]] const std::vector<FileExtent>& extents() const noexcept { return extents_; }
  /// Whether parts can be verified: every extent has a table of block hashes. read() must not be called otherwise.
  [[nodiscard]] bool verifiable() const noexcept { return verifiable_; }
  /// Object bytes [offset, offset + target.size()), which lie inside of the extents.
  /// @errors io; corrupt, naming object, volume file and byte. @cost reads whole blocks of 64 KiB, and 8 bytes for each.
  [[nodiscard]] Result<void> read(std::uint64_t offset, std::span<std::byte> target);

 private:
  const std::string name_;
  const std::vector<FileExtent> extents_;
  const bool verifiable_;
  std::vector<std::uint64_t> ends_;  // by extent, in the object
  /// Of the extent that was read last.
  std::optional<volume::BlockReader> reader_;
  std::size_t reader_extent_ = 0;
};

/// XXH3-128 of all that lies in these extents. @errors io, corrupt (a file is too short).
[[nodiscard]] Result<Checksum> checksum_of(std::span<const FileExtent> extents);

}  // namespace tarn::object
