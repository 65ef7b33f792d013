#include "object/verified_extents.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"

namespace tarn::object {

VerifiedExtents::VerifiedExtents(const ObjectName& name, std::vector<FileExtent> extents)
    : name_(name.bucket + "/" + name.key),
      extents_(std::move(extents)),
      verifiable_(!extents_.empty() && std::all_of(extents_.begin(), extents_.end(), [](const FileExtent& extent) { return extent.blocks; })) {}

Result<void> VerifiedExtents::read(std::uint64_t offset, std::span<std::byte> target) {
  if (readers_.empty()) {
    readers_.reserve(extents_.size());
    for (const auto& extent : extents_) readers_.emplace_back(extent.file, extent.offset, extent.length_bytes);
  }
  std::uint64_t start = 0;  // of the extent, in the object
  for (std::size_t i = 0; i < extents_.size() && !target.empty(); start += extents_[i++].length_bytes) {
    const std::uint64_t length = extents_[i].length_bytes;
    if (offset >= start + length) continue;
    const auto part = target.first(static_cast<std::size_t>(std::min<std::uint64_t>(target.size(), start + length - offset)));
    TARN_TRY(const auto bad, readers_[i].read(offset - start, part));
    if (bad) {
      const std::uint64_t begin = start + bad->number * volume::kBlockBytes;
      return fail(ErrorCode::corrupt, name_ + ": its bytes " + std::to_string(begin) + " to " + std::to_string(begin + bad->length_bytes) + " in " +
                                          readers_[i].file().path() + " at byte " + std::to_string(bad->offset) +
                                          " do not match their checksum; tarn check names all that is damaged");
    }
    target = target.subspan(part.size());
    offset += part.size();
  }
  if (!target.empty()) return fail(ErrorCode::corrupt, name_ + ": its extents are shorter than the object");
  return {};
}

Result<Checksum> checksum_of(std::span<const FileExtent> extents) {
  base::ChecksumStream stream;
  std::vector<std::byte> buffer;
  for (const auto& extent : extents) {
    buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(extent.length_bytes, limits::MiB)));
    for (std::uint64_t at = 0; at < extent.length_bytes;) {
      const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), extent.length_bytes - at)));
      TARN_TRY(const std::size_t got, extent.file->read_at(extent.offset + at, piece));
      if (got < piece.size())
        return fail(ErrorCode::corrupt, extent.file->path() + ": ends at byte " + std::to_string(extent.offset + at + got) + ", inside of an object");
      stream.update(piece);
      at += got;
    }
  }
  return stream.digest();
}

}  // namespace tarn::object
