#include "object/reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace tarn::object {

Result<std::vector<FileExtent>> open_extents(const volume::Disk& disk, const volume::Record& record) {
  std::vector<FileExtent> extents;
  extents.reserve(record.extents.size());
  for (const auto& extent : record.extents) {
    TARN_TRY(auto file, disk.file(extent.volume));
    extents.push_back({std::move(file), extent.offset, extent.length_bytes});
  }
  return extents;
}

Result<void> read_extents(std::span<const FileExtent> extents, std::uint64_t offset, std::span<std::byte> target) {
  for (const auto& extent : extents) {
    if (target.empty()) break;
    if (offset >= extent.length_bytes) {
      offset -= extent.length_bytes;
      continue;
    }
    const auto piece = target.first(std::min<std::uint64_t>(target.size(), extent.length_bytes - offset));
    TARN_TRY(const auto got, extent.file->read_at(extent.offset + offset, piece));
    if (got < piece.size())
      return fail(ErrorCode::corrupt,
                  extent.file->path() + ": ends at byte " + std::to_string(extent.offset + offset + got) + ", inside of an object");
    target = target.subspan(piece.size());
    offset = 0;
  }
  if (!target.empty()) return fail(ErrorCode::corrupt, "an object's extents are shorter than the object");
  return {};
}

LocalReader::LocalReader(const volume::Disk& disk, const ObjectName& name, const volume::Record& record, std::vector<FileExtent> extents)
    : disk_(disk), bucket_(name.bucket), info_(volume::object_info(name.key, record)), sequence_(record.sequence), extents_(std::move(extents)) {}

Error LocalReader::corrupt() const {
  const std::string where = extents_.empty() ? disk_.path() : extents_.front().file->path();
  return Error(ErrorCode::corrupt, bucket_ + "/" + info_.key + ": its bytes in " + where + " do not match their checksum");
}

Result<void> LocalReader::load_small() {
  std::vector<std::byte> bytes(info_.size_bytes);
  TARN_CHECK(read_extents(extents_, 0, bytes));
  if (base::xxh3_128(bytes) != info_.checksum) return fail(corrupt());
  disk_.note_verified(sequence_);
  small_ = std::move(bytes);
  return {};
}

Result<std::size_t> LocalReader::read(std::uint64_t offset, std::span<std::byte> target) {
  if (offset >= info_.size_bytes) {
    if (info_.size_bytes == 0 && !verified()) {
      if (base::xxh3_128({}) != info_.checksum) return fail(corrupt());
      disk_.note_verified(sequence_);
    }
    return 0;
  }
  target = target.first(std::min<std::uint64_t>(target.size(), info_.size_bytes - offset));
  const bool whole = target.size() == info_.size_bytes;
  const bool small = info_.size_bytes < limits::kSoloObjectBytesMin;
  if (small && !whole && small_.empty() && !verified()) TARN_CHECK(load_small());
  if (!small_.empty()) {
    std::memcpy(target.data(), small_.data() + offset, target.size());
    return target.size();
  }
  TARN_CHECK(read_extents(extents_, offset, target));
  if (whole) {
    if (base::xxh3_128(target) != info_.checksum) return fail(corrupt());
    disk_.note_verified(sequence_);
    return target.size();
  }
  if (offset == 0) {
    stream_.emplace();
    next_ = 0;
  }
  if (stream_ && offset == next_) {
    stream_->update(target);
    next_ += target.size();
    if (next_ == info_.size_bytes) {
      const bool good = stream_->digest() == info_.checksum;
      stream_.reset();
      if (!good) return fail(corrupt());
      disk_.note_verified(sequence_);
    }
  }
  return target.size();
}

}  // namespace tarn::object
