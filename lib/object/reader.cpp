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
  volume::VolumePin hold;
  if (record.extents.size() > limits::kOpenExtentsMax) {
    std::vector<std::uint64_t> volumes;
    for (const auto& extent : record.extents) volumes.push_back(extent.volume);
    hold = disk.hold_volumes(std::move(volumes));
  }
  for (const auto& extent : record.extents) {
    if (extent.length_bytes == 0) continue;
    std::shared_ptr<const base::File> file;
    if (hold) {
      file = disk.file_on_demand(extent.volume, hold);
    } else {
      TARN_TRY(file, disk.file(extent.volume));
    }
    extents.push_back({std::move(file), extent.offset, extent.length_bytes, extent.blocks});
  }
  return extents;
}

bool on_demand(std::span<const FileExtent> extents) noexcept {
  return !extents.empty() && extents.front().file->descriptor() < 0;
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

LocalReader::LocalReader(const volume::Disk& disk, const ObjectName& name, ObjectInfo info, std::uint64_t sequence, std::vector<FileExtent> extents)
    : disk_(disk), name_(name), info_(std::move(info)), sequence_(sequence), blocks_(name, std::move(extents)) {}

Result<void> LocalReader::check(const Checksum& checksum) const {
  if (checksum == info_.checksum) {
    disk_.note_verified(sequence_);
    return {};
  }
  const std::string where = blocks_.extents().empty() ? disk_.path() : blocks_.extents().front().file->path();
  return fail(ErrorCode::corrupt, name_.bucket + "/" + name_.key + ": its bytes in " + where + " do not match their checksum");
}

Result<void> LocalReader::read_all(std::span<std::byte> target) {
  TARN_CHECK(read_extents(blocks_.extents(), 0, target));
  return check(base::xxh3_128(target));
}

/// Blocks verify themselves. What has none is verified as a whole first: a small object, each time it is opened, and stays in memory
/// then; one whose table was lost, once.
Result<void> LocalReader::read_part(std::uint64_t offset, std::span<std::byte> target) {
  if (blocks_.verifiable()) return blocks_.read(offset, target);
  if (info_.size_bytes < limits::kSoloObjectBytesMin) {
    std::vector<std::byte> bytes(info_.size_bytes);
    TARN_CHECK(read_all(bytes));
    small_ = std::move(bytes);
    std::memcpy(target.data(), small_.data() + offset, target.size());
    return {};
  }
  if (!verified()) {
    TARN_TRY(const auto checksum, checksum_of(blocks_.extents()));
    TARN_CHECK(check(checksum));
  }
  return read_extents(blocks_.extents(), offset, target);
}

/// Of reads in order from the begin on: the checksum of the whole.
Result<void> LocalReader::follow(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (offset == 0) {
    stream_.emplace();
    next_ = 0;
  }
  if (!stream_ || offset != next_) return {};
  stream_->update(bytes);
  next_ += bytes.size();
  if (next_ < info_.size_bytes) return {};
  const Checksum checksum = stream_->digest();
  stream_.reset();
  return check(checksum);
}

Result<std::size_t> LocalReader::read(std::uint64_t offset, std::span<std::byte> target) {
  if (offset >= info_.size_bytes) {
    if (info_.size_bytes == 0 && !verified()) TARN_CHECK(check(base::xxh3_128({})));
    return 0;
  }
  target = target.first(std::min<std::uint64_t>(target.size(), info_.size_bytes - offset));
  if (target.empty()) return 0;
  if (!small_.empty()) {
    std::memcpy(target.data(), small_.data() + offset, target.size());
    return target.size();
  }
  auto got = target.size() == info_.size_bytes ? read_all(target) : read_part(offset, target);
  if (got && small_.empty() && target.size() < info_.size_bytes) got = follow(offset, target);
  if (got) return target.size();
  if (got.error().code == ErrorCode::corrupt) disk_.note_damaged(name_, sequence_);
  return fail(std::move(got).error());
}

}  // namespace tarn::object
