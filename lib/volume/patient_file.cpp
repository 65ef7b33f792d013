#include "volume/patient_file.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/log.hpp"

namespace tarn::volume {

Result<std::size_t> PatientFile::read_at(std::uint64_t offset, std::span<std::byte> target) const {
  if (failed_reads_ < kReadsMax && !lacks(offset, target.size())) {
    auto got = real_->read_at(offset, target);
    if (got || got.error().code != ErrorCode::io) return got;
    ++failed_reads_;
    if (reason_.empty()) reason_ = got.error().message;
  }
  return read_again(offset, target);
}

Result<std::size_t> PatientFile::read_again(std::uint64_t offset, std::span<std::byte> target) const {
  TARN_TRY(const std::uint64_t file_bytes, real_->size());
  const std::uint64_t end = std::min<std::uint64_t>(offset + target.size(), std::max(offset, file_bytes));
  bool all = true;
  for (std::uint64_t at = offset; at < end;) {
    const bool in_pages = failed_reads_ < kPagesMax;
    const std::uint64_t next = in_pages ? std::min(end, (at / kPageBytes + 1) * kPageBytes) : end;
    const auto piece = target.subspan(at - offset, next - at);
    bool given = false;
    if (failed_reads_ < kReadsMax && !lacks(at, piece.size())) {
      auto got = real_->read_at(at, piece);
      if (!got && got.error().code != ErrorCode::io) return got;
      given = got.has_value();
      if (given && *got < piece.size()) return at - offset + *got;  // it has become shorter
      failed_reads_ += given ? 0 : 1;
    }
    if (!given) {
      std::memset(piece.data(), 0, piece.size());
      note(at, next);
      all = false;
    }
    at = next;
  }
  if (all) base::log_warn(reason_ + "; it could be read when it was tried again");
  return static_cast<std::size_t>(end - offset);
}

bool PatientFile::lacks(std::uint64_t offset, std::uint64_t length_bytes) const {
  const auto behind = unreadable_.lower_bound(offset + length_bytes);  // the first that begins at the end or later
  return behind != unreadable_.begin() && std::prev(behind)->second > offset;
}

void PatientFile::note(std::uint64_t begin, std::uint64_t end) const {
  auto at = unreadable_.upper_bound(begin);
  if (at != unreadable_.begin() && std::prev(at)->second >= begin) --at;
  while (at != unreadable_.end() && at->first <= end) {
    begin = std::min(begin, at->first);
    end = std::max(end, at->second);
    at = unreadable_.erase(at);
  }
  unreadable_.emplace(begin, end);
}

}  // namespace tarn::volume
