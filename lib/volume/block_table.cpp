#include "volume/block_table.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "volume/scanner.hpp"

namespace tarn::volume {

namespace {

constexpr std::size_t kTablePieceBytes = 4 * limits::KiB;  // of the table, read at once: for 32 MiB of data
constexpr std::size_t kCopyBytes = 64 * limits::KiB;
constexpr std::size_t kReadBytes = 4 * kBlockBytes;  // read at once, then hashed: they are still in the cache

std::uint64_t load_hash(const std::byte* at) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = kBlockHashBytes; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(at[i]);
  return value;
}

}  // namespace

TablePlace table_place(std::uint64_t data_offset, std::uint64_t data_bytes) noexcept {
  TablePlace place;
  place.header_offset = data_offset + tar::padded(data_bytes);
  place.offset = place.header_offset + kTableHeaderBytes;
  place.size_bytes = (data_bytes + kBlockBytes - 1) / kBlockBytes * kBlockHashBytes;
  place.end_offset = place.offset + tar::padded(place.size_bytes);
  return place;
}

std::uint64_t block_hash(std::span<const std::byte> block, std::uint64_t number) noexcept {
  return base::xxh3_64(block, number);
}

Result<bool> table_is_whole(const base::File& file, const Place& data, std::uint64_t data_bytes) {
  const TablePlace place = table_place(data.offset, data_bytes);
  std::vector<std::byte> header(kTableHeaderBytes);
  TARN_TRY(const std::size_t got, file.read_at(place.header_offset, header));
  if (got < header.size()) return false;
  const auto member = decode_header(header, Place{data.disk, data.volume, place.header_offset});
  if (!member || member->kind != MemberKind::blocks || member->size_bytes != place.size_bytes) return false;
  const auto checksum = checksum_of(file, place.offset, place.size_bytes);
  if (!checksum && checksum.error().code == ErrorCode::corrupt) return false;  // cut off
  if (!checksum) return fail(checksum.error());
  return *checksum == member->checksum;
}

BlockTableBuilder::~BlockTableBuilder() {
  if (spilled_bytes_ == 0) return;
  if (const auto removed = fs_.remove(side_path_); !removed && removed.error().code != ErrorCode::not_found) base::log_warn(removed.error().message);
}

void BlockTableBuilder::append(std::uint64_t hash) {
  std::array<std::byte, kBlockHashBytes> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(hash >> (8 * i) & 0xff);
  memory_.insert(memory_.end(), bytes.begin(), bytes.end());
  checksum_.update(bytes);
  ++blocks_;
}

Result<void> BlockTableBuilder::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (memory_.size() >= memory_bytes_max_) TARN_CHECK(spill());
    const auto piece = bytes.first(std::min(bytes.size(), kBlockBytes - block_bytes_));
    bytes = bytes.subspan(piece.size());
    if (piece.size() == kBlockBytes) {
      append(block_hash(piece, blocks_));
      continue;
    }
    if (block_bytes_ == 0) block_.reset(blocks_);
    block_.update(piece);
    block_bytes_ += piece.size();
    if (block_bytes_ < kBlockBytes) continue;
    append(block_.digest());
    block_bytes_ = 0;
  }
  return {};
}

Result<void> BlockTableBuilder::spill() {
  TARN_TRY(const auto file, fs_.open(side_path_, base::OpenMode::create));
  const std::uint64_t at = spilled_bytes_;
  spilled_bytes_ += memory_.size();  // from now on there is a file to be removed
  TARN_CHECK(file->write_at(at, std::span<const std::byte>(memory_)));
  memory_.clear();
  return {};
}

Checksum BlockTableBuilder::end() {
  if (block_bytes_ > 0) append(block_.digest());
  block_bytes_ = 0;
  return checksum_.digest();
}

Result<void> BlockTableBuilder::write_to(base::File& file, std::uint64_t offset) {
  if (spilled_bytes_ > 0) {
    TARN_TRY(const auto side, fs_.open(side_path_, base::OpenMode::read));
    std::vector<std::byte> buffer(std::min<std::uint64_t>(spilled_bytes_, kCopyBytes));
    base::ChecksumStream copied;  // what the side file gives back is what was put into it
    for (std::uint64_t at = 0; at < spilled_bytes_;) {
      const auto piece = std::span(buffer).first(std::min<std::uint64_t>(spilled_bytes_ - at, buffer.size()));
      TARN_TRY(const std::size_t got, side->read_at(at, piece));
      if (got < piece.size()) return fail(ErrorCode::io, side_path_ + ": is shorter than what was written to it");
      copied.update(piece);
      TARN_CHECK(file.write_at(offset + at, std::span<const std::byte>(piece)));
      at += piece.size();
    }
    copied.update(memory_);
    if (copied.digest() != checksum_.digest()) return fail(ErrorCode::corrupt, side_path_ + ": gives back other bytes than were written to it");
  }
  return file.write_at(offset + spilled_bytes_, std::span<const std::byte>(memory_));
}

std::size_t BlockReader::block_size(std::uint64_t number) const noexcept {
  return static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, data_bytes_ - number * kBlockBytes));
}

BadBlock BlockReader::bad(std::uint64_t number) const noexcept {
  return {number, data_offset_ + number * kBlockBytes, block_size(number)};
}

Result<void> BlockReader::read_exactly(std::uint64_t offset, std::span<std::byte> target) const {
  TARN_TRY(const std::size_t got, file_->read_at(offset, target));
  if (got == target.size()) return {};
  return fail(ErrorCode::corrupt, file_->path() + ": ends at byte " + std::to_string(offset + got) + ", inside of an object or its block hashes");
}

Result<bool> BlockReader::matches(std::uint64_t number, std::span<const std::byte> block) {
  const std::uint64_t at = number * kBlockHashBytes;
  if (at < table_begin_ || at >= table_begin_ + table_.size()) {
    table_begin_ = at / kTablePieceBytes * kTablePieceBytes;
    table_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kTablePieceBytes, place_.size_bytes - table_begin_)));
    auto got = read_exactly(place_.offset + table_begin_, table_);
    if (!got) {
      table_.clear();
      return fail(std::move(got).error());
    }
  }
  return load_hash(table_.data() + (at - table_begin_)) == block_hash(block, number);
}

Result<std::optional<BadBlock>> BlockReader::read_part(std::uint64_t number, std::size_t offset, std::span<std::byte> target) {
  if (block_number_ != number) {
    block_number_.reset();
    block_.resize(block_size(number));
    TARN_CHECK(read_exactly(data_offset_ + number * kBlockBytes, block_));
    TARN_TRY(const bool good, matches(number, block_));
    if (!good) return bad(number);
    block_number_ = number;
  }
  std::memcpy(target.data(), block_.data() + offset, target.size());
  return std::nullopt;
}

Result<std::optional<BadBlock>> BlockReader::read_whole(std::uint64_t number, std::span<std::byte> target) {
  TARN_CHECK(read_exactly(data_offset_ + number * kBlockBytes, target));
  while (!target.empty()) {
    const auto block = target.first(block_size(number));
    TARN_TRY(const bool good, matches(number, block));
    if (!good) return bad(number);
    target = target.subspan(block.size());
    ++number;
  }
  return std::nullopt;
}

Result<std::optional<BadBlock>> BlockReader::read(std::uint64_t offset, std::span<std::byte> target) {
  TARN_ASSERT(offset <= data_bytes_ && target.size() <= data_bytes_ - offset);
  while (!target.empty()) {
    const std::uint64_t number = offset / kBlockBytes;
    const auto inside = static_cast<std::size_t>(offset % kBlockBytes);
    // Whole blocks go straight to the target, as many as a core's cache holds; what begins or ends within one goes by a copy of it.
    std::size_t size = std::min(target.size(), block_size(number) - inside);
    const bool part = size < block_size(number);
    while (!part && size < target.size() && size < kReadBytes) {
      const std::size_t next = block_size(number + size / kBlockBytes);
      if (size + next > target.size()) break;
      size += next;
    }
    TARN_TRY(const auto found, part ? read_part(number, inside, target.first(size)) : read_whole(number, target.first(size)));
    if (found) return found;
    target = target.subspan(size);
    offset += size;
  }
  return std::nullopt;
}

}  // namespace tarn::volume
