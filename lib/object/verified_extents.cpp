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
  if (ends_.empty()) {
    ends_.reserve(extents_.size());
    std::uint64_t end = 0;
    for (const auto& extent : extents_) ends_.push_back(end += extent.length_bytes);
  }
  auto i = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), offset) - ends_.begin());
  for (; i < extents_.size() && !target.empty(); ++i) {
    const FileExtent& extent = extents_[i];
    const std::uint64_t start = ends_[i] - extent.length_bytes;
    const auto part = target.first(static_cast<std::size_t>(std::min<std::uint64_t>(target.size(), ends_[i] - offset)));
    if (!reader_ || reader_extent_ != i) reader_.emplace(extent.file, extent.offset, extent.length_bytes);
    reader_extent_ = i;
    TARN_TRY(const auto bad, reader_->read(offset - start, part));
    if (bad) {
      const std::uint64_t begin = start + bad->number * volume::kBlockBytes;
      return fail(ErrorCode::corrupt, name_ + ": its bytes " + std::to_string(begin) + " to " + std::to_string(begin + bad->length_bytes) + " in " +
                                          extent.file->path() + " at byte " + std::to_string(bad->offset) +
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
