#include "volume/scanner.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"

namespace tarn::volume {

namespace {

constexpr std::uint64_t kTrailerBytes = 2 * tar::kBlockBytes;

struct Found {
  std::optional<ScannedMember> member;  ///< nullopt: none that can be believed begins here
  bool cut_short = false;               ///< one would, but the file ends before it does
};

Result<Found> member_at(FileWindow& window, const Place& place, std::uint64_t file_bytes) {
  TARN_TRY(const auto block, window.at(place.offset, tar::kBlockBytes));
  if (block.size() < tar::kBlockBytes) return Found{{}, begins_like_header(block, place)};
  const auto header_bytes = header_length(block.first<tar::kBlockBytes>(), place);
  if (!header_bytes) return Found{};
  if (*header_bytes > file_bytes - place.offset) return Found{{}, true};
  TARN_TRY(const auto header, window.at(place.offset, *header_bytes));
  if (header.size() < *header_bytes) return Found{};
  auto member = decode_header(header, place);
  if (!member) return Found{};
  const std::uint64_t data_offset = place.offset + *header_bytes;
  if (member->size_bytes > file_bytes - data_offset || tar::padded(member->size_bytes) > file_bytes - data_offset) return Found{{}, true};
  ScannedMember found{std::move(*member), place.offset, data_offset, 0};
  found.end_offset = data_offset + tar::padded(found.member.size_bytes);
  return Found{std::move(found), false};
}

/// Whether the file ends with a trailer that begins at `offset` or later.
Result<bool> has_trailer(FileWindow& window, std::uint64_t offset, std::uint64_t file_bytes) {
  if (file_bytes < offset + kTrailerBytes) return false;
  TARN_TRY(const auto rest, window.at(file_bytes - kTrailerBytes, kTrailerBytes));
  return rest.size() == kTrailerBytes && tar::is_zero(rest);
}

}  // namespace

Result<ScanResult> scan_volume(const base::File& file, const base::Uuid& disk, std::uint64_t volume, std::uint64_t begin,
                               const MemberVisitor& visit) {
  FileWindow window(file);
  return scan_volume(window, disk, volume, begin, visit);
}

Result<ScanResult> scan_volume(FileWindow& window, const base::Uuid& disk, std::uint64_t volume, std::uint64_t begin, const MemberVisitor& visit) {
  TARN_TRY(const std::uint64_t file_bytes, window.file().size());
  ScanResult result;
  result.end_offset = begin;
  std::uint64_t at = begin;
  while (at < file_bytes) {
    TARN_TRY(const Found found, member_at(window, Place{disk, volume, at}, file_bytes));
    if (!found.member) {
      if (at == result.end_offset) result.cut_short = found.cut_short;
      at += tar::kBlockBytes;
      continue;
    }
    if (at != result.end_offset) result.damages.push_back({result.end_offset, at - result.end_offset});
    TARN_CHECK(visit(*found.member));
    at = result.end_offset = found.member->end_offset;
    result.cut_short = false;
  }
  TARN_TRY(result.trailer, has_trailer(window, result.end_offset, file_bytes));
  const std::uint64_t rest = file_bytes - std::min(file_bytes, result.end_offset);
  if (!result.trailer || rest != kTrailerBytes) result.torn_bytes = rest;
  if (rest > 0 && rest < kTrailerBytes) {  // the begin of a trailer is nobody's either
    TARN_TRY(const auto bytes, window.at(result.end_offset, static_cast<std::size_t>(rest)));
    result.cut_short |= tar::is_zero(bytes);
  }
  return result;
}

Result<Checksum> checksum_of(const base::File& file, std::uint64_t offset, std::uint64_t length_bytes) {
  base::ChecksumStream stream;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(length_bytes, limits::MiB));
  while (length_bytes > 0) {
    const auto piece = std::span(buffer).first(std::min<std::uint64_t>(length_bytes, buffer.size()));
    TARN_TRY(const auto got, file.read_at(offset, piece));
    if (got < piece.size()) return fail(ErrorCode::corrupt, file.path() + ": ends before byte " + std::to_string(offset + piece.size()));
    stream.update(piece);
    offset += got;
    length_bytes -= got;
  }
  return stream.digest();
}

}  // namespace tarn::volume
