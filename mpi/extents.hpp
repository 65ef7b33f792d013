// extents.hpp - bytes of an object out of open volume files.
// Level 6 (mpi). Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "object/object_service.hpp"

namespace tarn::mpi {

/// Reads object bytes [offset, offset + target.size()), which lie inside of the extents.
/// @errors io; corrupt: a volume ends before its extent does.
[[nodiscard]] Result<void> read_extents(std::span<const object::FileExtent> extents, std::uint64_t offset, std::span<std::byte> target);

/// How many bytes a read of `wanted` bytes at `offset` gives. @errors out_of_range: offset beyond the end.
[[nodiscard]] Result<std::size_t> clip(const ObjectInfo& info, std::uint64_t offset, std::uint64_t wanted);

/// @errors corrupt: these are not the bytes that were stored.
[[nodiscard]] Result<void> verify(const ObjectName& name, const ObjectInfo& info, const Checksum& checksum, RankId rank);

}  // namespace tarn::mpi
