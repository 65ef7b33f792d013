#include "mpi/extents.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "base/hash.hpp"

namespace tarn::mpi {

Result<void> read_extents(std::span<const object::FileExtent> extents, std::uint64_t offset, std::span<std::byte> target) {
  std::uint64_t start = 0;  // of the extent, in the object
  for (const auto& extent : extents) {
    if (target.empty()) break;
    const std::uint64_t end = start + extent.length_bytes;
    if (offset < end) {
      const std::uint64_t inside = offset - start;
      const auto part = target.first(static_cast<std::size_t>(std::min<std::uint64_t>(target.size(), extent.length_bytes - inside)));
      TARN_TRY(const std::size_t got, extent.file->read_at(extent.offset + inside, part));
      if (got != part.size()) return fail(ErrorCode::corrupt, "volume " + extent.file->path() + " ends in the middle of an object");
      target = target.subspan(part.size());
      offset += part.size();
    }
    start = end;
  }
  if (!target.empty()) return fail(ErrorCode::corrupt, "an object has fewer bytes in its extents than its size says");
  return {};
}

Result<std::size_t> clip(const ObjectInfo& info, std::uint64_t offset, std::uint64_t wanted) {
  if (offset > info.size_bytes)
    return fail(ErrorCode::out_of_range, "offset " + std::to_string(offset) + " lies beyond the end of " + info.key + ", which has " +
                                             std::to_string(info.size_bytes) + " bytes");
  return static_cast<std::size_t>(std::min(wanted, info.size_bytes - offset));
}

Result<void> verify(const ObjectName& name, const ObjectInfo& info, const Checksum& checksum, RankId rank) {
  if (checksum == info.checksum) return {};
  return fail(ErrorCode::corrupt,
              name.bucket + "/" + name.key + " of rank " + std::to_string(rank) + ": its bytes have checksum " + base::to_hex(checksum) + ", not " +
                  base::to_hex(info.checksum) + "; tarn check names the damage",
              rank);
}

}  // namespace tarn::mpi
