// scanner.hpp - walks the members of a volume by their headers, over damage.
// Level 2 (volume). One thread per call.
//
// What cannot be believed (a header whose sum or hash is wrong, data beyond the file's end) is skipped block by block up
// to the next member that can. When nothing believable follows, the rest is either the begin of a member whose end is
// missing (a write that was interrupted: cut_short) or damage.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/file_window.hpp"
#include "volume/member.hpp"

namespace tarn::volume {

struct ScannedMember {
  Member member;
  std::uint64_t header_offset = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t end_offset = 0;  ///< padding included
};

struct Damage {
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
};

struct ScanResult {
  std::uint64_t end_offset = 0;  ///< behind the last good member
  std::uint64_t torn_bytes = 0;  ///< from there to the file's end, when that is not just a trailer
  bool cut_short = false;        ///< the torn bytes are the begin of a member or of the trailer: nobody was ever told of it
  bool trailer = false;          ///< the file ends with two zero blocks, as archives do
  std::vector<Damage> damages;   ///< skipped between good members
};

/// Visits the members from `begin` on (a member's begin, or 0). Headers only: no data is read or verified.
/// @errors io; what the visitor returns. @cost reads 8 to 64 KiB around each header.
using MemberVisitor = std::function<Result<void>(const ScannedMember&)>;
[[nodiscard]] Result<ScanResult> scan_volume(const base::File& file, const base::Uuid& disk, std::uint64_t volume, std::uint64_t begin,
                                             const MemberVisitor& visit);

/// The same through a window that the visitor may use as well: to read a member's data while it is there.
[[nodiscard]] Result<ScanResult> scan_volume(FileWindow& window, const base::Uuid& disk, std::uint64_t volume, std::uint64_t begin,
                                             const MemberVisitor& visit);

/// XXH3-128 of a part of a file. @errors io, corrupt (the file ends before).
[[nodiscard]] Result<Checksum> checksum_of(const base::File& file, std::uint64_t offset, std::uint64_t length_bytes);

}  // namespace tarn::volume
