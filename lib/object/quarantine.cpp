#include "object/quarantine.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "object/reader.hpp"
#include "volume/member.hpp"
#include "volume/scanner.hpp"

namespace tarn::object {

namespace {

constexpr std::array<std::byte, 3 * volume::tar::kBlockBytes> kZeros{};  // padding and the archive's end

std::string directory_of(const std::string& disk) {
  return disk + "/quarantine";
}
std::string path_of(const std::string& disk, std::uint64_t sequence) {
  return directory_of(disk) + "/" + std::to_string(sequence) + ".tar";
}

volume::Member member_of(const ObjectName& name, const volume::Record& record) {
  volume::Member member;
  member.name = name;
  member.sequence = record.sequence;
  member.size_bytes = record.size_bytes;
  member.checksum = record.checksum;
  member.modified_ns = record.modified_ns;
  member.content_type = record.content_type;
  member.user_metadata = record.user_metadata;
  return member;
}

Result<volume::Record> need_record(const volume::Disk& disk, const ObjectName& name) {
  TARN_TRY(auto record, disk.find(name.bucket, name.key));
  if (!record) return fail(ErrorCode::not_found, disk.path() + ": has no object " + name.bucket + "/" + name.key);
  return std::move(*record);
}

/// Reads a piece; where that fails page by page, with zeros for the pages that cannot be read. @errors busy: no descriptors left.
Result<void> read_what_can_be(const base::File& file, std::uint64_t offset, std::span<std::byte> piece) {
  constexpr std::size_t kPageBytes = 4096;
  auto got = file.read_at(offset, piece);
  if (got) {
    std::fill(piece.begin() + static_cast<std::ptrdiff_t>(*got), piece.end(), std::byte{0});
    return {};
  }
  for (std::size_t at = 0; at < piece.size(); at += kPageBytes) {
    const auto page = piece.subspan(at, std::min(kPageBytes, piece.size() - at));
    got = file.read_at(offset + at, page);
    if (!got && got.error().code == ErrorCode::busy) return fail(got.error());
    std::fill(page.begin() + static_cast<std::ptrdiff_t>(got ? *got : 0), page.end(), std::byte{0});
  }
  return {};
}

/// What is there of an object's files: an extent of a volume that is gone has none.
Result<std::vector<FileExtent>> open_what_is_there(const volume::Disk& disk, const volume::Record& record) {
  std::vector<FileExtent> extents;
  for (const auto& extent : record.extents) {
    if (extent.length_bytes == 0) continue;
    auto file = disk.file(extent.volume);
    if (!file && file.error().code != ErrorCode::not_found && file.error().code != ErrorCode::io) return fail(file.error());
    if (file && record.extents.size() > limits::kOpenExtentsMax) file = disk.file_on_demand(extent.volume, {});
    extents.push_back({file ? std::move(*file) : nullptr, extent.offset, extent.length_bytes, extent.blocks});
  }
  return extents;
}

/// Hands on what lies in the extents, with zeros for what does not.
template <class Take>
Result<void> for_each_piece(std::span<const FileExtent> extents, Take take) {
  std::vector<std::byte> buffer(limits::MiB);
  for (const auto& extent : extents) {
    for (std::uint64_t at = 0; at < extent.length_bytes;) {
      const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), extent.length_bytes - at)));
      if (extent.file) {
        TARN_CHECK(read_what_can_be(*extent.file, extent.offset + at, piece));
      } else {
        std::fill(piece.begin(), piece.end(), std::byte{0});
      }
      TARN_CHECK(take(std::span<const std::byte>(piece)));
      at += piece.size();
    }
  }
  return {};
}

/// Of a file's first bytes.
Result<Checksum> read_back(const base::File& file, std::uint64_t size_bytes) {
  base::drop_cached_pages(file);
  return volume::checksum_of(file, 0, size_bytes);
}

/// @errors also io: what can be read of the copy is not what was written.
Result<void> write_copy(base::File& copy, const volume::Disk& disk, const ObjectName& name, const volume::Record& record,
                        std::span<const FileExtent> extents) {
  const auto header = volume::encode_header(member_of(name, record), volume::Place{disk.identity().id, 0, 0});
  TARN_CHECK(copy.truncate(0));  // of an earlier attempt
  TARN_CHECK(copy.write_at(0, std::span<const std::byte>(header)));
  base::ChecksumStream sum, data_sum;
  sum.update(header);
  std::uint64_t at = header.size();
  TARN_CHECK(for_each_piece(extents, [&](std::span<const std::byte> piece) {
    at += piece.size();
    sum.update(piece);
    data_sum.update(piece);
    return copy.write_at(at - piece.size(), piece);
  }));
  if (data_sum.digest() == record.checksum) return fail(ErrorCode::busy, name.bucket + "/" + name.key + ": now its bytes match their checksum");
  const auto rest = std::span(kZeros).first(static_cast<std::size_t>(volume::tar::padded(at) - at) + 2 * volume::tar::kBlockBytes);
  sum.update(rest);
  TARN_CHECK(copy.write_at(at, rest));
  TARN_CHECK(copy.sync_data());
  TARN_TRY(const auto copied, read_back(copy, at + rest.size()));
  if (copied != sum.digest()) return fail(ErrorCode::io, copy.path() + ": the copy is not what was written to it");
  return {};
}

Result<std::string> copy_out(base::FileSystem& fs, const volume::Disk& disk, const ObjectName& name, const volume::Record& record) {
  TARN_TRY(const auto extents, open_what_is_there(disk, record));
  if (!extents.empty() && std::none_of(extents.begin(), extents.end(), [](const FileExtent& extent) { return extent.file != nullptr; }))
    return std::string();
  TARN_CHECK(fs.make_directory(directory_of(disk.path())));
  const std::string path = path_of(disk.path(), record.sequence);
  TARN_TRY(const auto copy, fs.open(path, base::OpenMode::create));
  if (auto written = write_copy(*copy, disk, name, record, extents); !written) {
    (void)fs.remove(path);
    return fail(std::move(written).error());
  }
  TARN_CHECK(fs.sync_directory(directory_of(disk.path())));
  TARN_CHECK(fs.sync_directory(disk.path()));
  return path;
}

Result<void> remove_object(volume::Disk& disk, const ObjectName& name) {
  volume::Member member;
  member.kind = volume::MemberKind::deleted;
  member.name = name;
  member.modified_ns = base::now_ns();
  volume::Receipt receipt;
  TARN_CHECK(disk.append(member, {}, &receipt));
  return disk.wait_durable(receipt);
}

}  // namespace

bool in_quarantine(base::FileSystem& fs, const std::string& directory, std::uint64_t sequence) {
  return fs.exists(path_of(directory, sequence)).value_or(false);
}

Result<std::string> quarantine(base::FileSystem& fs, volume::Disk& disk, const ObjectName& name) {
  TARN_TRY(const auto record, need_record(disk, name));
  TARN_TRY(auto path, copy_out(fs, disk, name, record));
  TARN_CHECK(remove_object(disk, name));
  return path;
}

Result<void> write_anew(volume::Disk& disk, const ObjectName& name) {
  TARN_TRY(const auto record, need_record(disk, name));
  TARN_TRY(const auto extents, open_extents(disk, record));
  volume::Member member = member_of(name, record);
  const Error damaged(ErrorCode::corrupt, name.bucket + "/" + name.key + ": its bytes do not match their checksum");
  volume::Receipt receipt;
  if (record.size_bytes < limits::kSoloObjectBytesMin) {
    std::vector<std::byte> bytes(record.size_bytes);
    TARN_CHECK(read_extents(extents, 0, bytes));
    if (base::xxh3_128(bytes) != record.checksum) return fail(damaged);
    TARN_CHECK(disk.append(member, bytes, &receipt));
    return disk.wait_durable(receipt);
  }
  TARN_TRY(const auto solo, disk.create_solo(member));
  base::ChecksumStream checksum;
  TARN_CHECK(for_each_piece(extents, [&](std::span<const std::byte> piece) {
    checksum.update(piece);
    return solo->write(piece);
  }));
  if (checksum.digest() != record.checksum) return fail(damaged);
  TARN_CHECK(disk.commit_solo(*solo, member, &receipt));
  return disk.wait_durable(receipt);
}

}  // namespace tarn::object
