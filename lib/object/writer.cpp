#include "object/writer.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace tarn::object {

namespace {
constexpr std::size_t kPreparedBytesMax = 64 * limits::KiB;  // a prepared body of up to this size stays in memory
}

volume::Member new_member(const ObjectName& name, const PutOptions& options) {
  volume::Member member;
  member.name = name;
  member.modified_ns = base::now_ns();
  member.content_type = options.content_type;
  member.user_metadata = options.user_metadata;
  return member;
}

LocalWriter::LocalWriter(volume::Disk& disk, const ObjectName& name, const PutOptions& options, std::uint64_t size_hint, Guard guard)
    : disk_(disk), member_(new_member(name, options)), guard_(std::move(guard)) {
  if (size_hint != UINT64_MAX) buffer_.reserve(std::min<std::uint64_t>(size_hint, limits::kSoloObjectBytesMin));
}

Result<void> LocalWriter::write(std::span<const std::byte> bytes) {
  if (failed_) return fail(*failed_);
  if (ended_) return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": write after prepare or commit");
  if (bytes.size() > limits::kObjectBytesMax - size_bytes_)
    return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": longer than 5 TiB");
  checksum_.update(bytes);
  size_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (buffer_.empty() && bytes.size() >= limits::kSoloObjectBytesMin && solo_) {
      if (const auto written = solo_->write(bytes); !written) return fail(failed_.emplace(written.error()));
      return {};
    }
    const std::size_t room = limits::kSoloObjectBytesMin - buffer_.size();
    const auto piece = bytes.first(std::min(room, bytes.size()));
    buffer_.insert(buffer_.end(), piece.begin(), piece.end());
    bytes = bytes.subspan(piece.size());
    if (buffer_.size() == limits::kSoloObjectBytesMin) TARN_CHECK(spill());
  }
  return {};
}

Result<void> LocalWriter::spill() {
  auto written = [&]() -> Result<void> {
    if (!solo_) {
      TARN_TRY(solo_, disk_.create_solo(member_));
    }
    return solo_->write(buffer_);
  }();
  buffer_.clear();
  if (!written) failed_ = written.error();
  return written;
}

Result<void> LocalWriter::end_body() {
  if (failed_) return fail(*failed_);
  if (ended_) return {};
  if (solo_ && !buffer_.empty()) TARN_CHECK(spill());
  if (solo_) {
    if (const auto finished = solo_->finish(); !finished) return fail(failed_.emplace(finished.error()));
    buffer_ = {};
  }
  member_.checksum = checksum_.digest();
  ended_ = true;
  return {};
}

Result<void> LocalWriter::prepare() {
  if (!failed_ && !ended_ && !solo_ && buffer_.size() > kPreparedBytesMax) TARN_CHECK(spill());
  return end_body();
}

Result<std::size_t> LocalWriter::read_back(std::uint64_t offset, std::span<std::byte> target) {
  if (failed_) return fail(*failed_);
  if (!ended_ || committed_)
    return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": read_back comes between prepare and commit");
  if (solo_) return solo_->read_back(offset, target);
  const std::size_t begin = std::min<std::uint64_t>(offset, buffer_.size());
  const std::size_t size = std::min(target.size(), buffer_.size() - begin);
  std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin), size, target.begin());
  return size;
}

Result<ObjectInfo> LocalWriter::commit() {
  if (committed_) return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": committed twice");
  TARN_CHECK(end_body());
  member_.modified_ns = base::now_ns();
  TARN_TRY(const auto record, guard_([&] { return solo_ ? disk_.commit_solo(*solo_, member_) : disk_.append(member_, buffer_); }));
  committed_ = true;
  solo_.reset();
  buffer_ = {};
  return volume::object_info(member_.name.key, record);
}

}  // namespace tarn::object
