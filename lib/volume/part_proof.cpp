#include "volume/part_proof.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "volume/block_table.hpp"
#include "volume/file_cache.hpp"
#include "volume/member.hpp"
#include "volume/patient_file.hpp"

namespace tarn::volume {

namespace {

/// Whether the extent is the data of a member that the scanner finds.
Result<bool> is_member(const base::File& file, const base::Uuid& disk, const Extent& extent) {
  if (extent.header_bytes > std::min<std::uint64_t>(extent.offset, kHeaderBytesMax + 2 * tar::kBlockBytes)) return false;
  std::vector<std::byte> header(extent.header_bytes);
  const std::uint64_t at = extent.offset - extent.header_bytes;
  TARN_TRY(const std::size_t got, file.read_at(at, header));
  const auto member = got == header.size() ? decode_header(header, Place{disk, extent.volume, at}) : std::nullopt;
  TARN_TRY(const std::uint64_t file_bytes, file.size());
  return member && member->size_bytes <= file_bytes && extent.offset + tar::padded(member->size_bytes) <= file_bytes;
}

}  // namespace

Result<Whole> parts_are_whole(base::FileSystem& fs, const std::string& directory, const base::Uuid& disk, Record& assembled) {
  for (Extent& extent : assembled.extents) {  // which is soon done
    auto opened = fs.open(volume_file_path(directory, extent.volume), base::OpenMode::read);
    if (!opened && opened.error().code == ErrorCode::not_found) return Whole::no;
    if (!opened && opened.error().code == ErrorCode::io) return Whole::unknown;
    if (!opened) return fail(std::move(opened).error());
    const PatientFile file(std::move(*opened));
    TARN_TRY(const bool has_header, is_member(file, disk, extent));
    if (!file.unreadable().empty()) return Whole::unknown;
    if (!has_header) return Whole::no;
    if (!extent.blocks) continue;
    TARN_TRY(extent.blocks, table_is_whole(file, Place{disk, extent.volume, extent.offset}, extent.length_bytes));
    if (!file.unreadable().empty()) return Whole::unknown;
  }
  base::ChecksumStream stream;
  std::vector<std::byte> buffer(limits::MiB);
  for (const Extent& extent : assembled.extents) {
    TARN_TRY(auto opened, fs.open(volume_file_path(directory, extent.volume), base::OpenMode::read));
    const PatientFile file(std::move(opened));
    for (std::uint64_t at = 0; at < extent.length_bytes;) {
      const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), extent.length_bytes - at)));
      TARN_TRY(const std::size_t got, file.read_at(extent.offset + at, piece));
      if (!file.unreadable().empty()) return Whole::unknown;
      if (got < piece.size()) return Whole::no;
      stream.update(piece);
      at += got;
    }
  }
  return stream.digest() == assembled.checksum ? Whole::yes : Whole::no;
}

}  // namespace tarn::volume
