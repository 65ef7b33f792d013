#include "object/writer.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace tarn::object {

namespace {
constexpr std::size_t kPreparedBytesMax = 64 * limits::KiB;  // a prepared body of up to this size stays in memory
constexpr std::size_t kSoloPieceBytes = 256 * limits::KiB;   // hashed twice and written while it is in the cache
}  // namespace

volume::Member new_member(const ObjectName& name, const PutOptions& options) {
  volume::Member member;
  member.name = name;
  member.modified_ns = base::now_ns();
  member.content_type = options.content_type;
  member.user_metadata = options.user_metadata;
  return member;
}

Result<volume::Record> put_solo(volume::Disk& on, volume::Member& member, std::span<const std::byte> bytes, volume::Receipt* receipt) {
  TARN_TRY(const auto solo, on.create_solo(member));
  base::ChecksumStream checksum;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(kSoloPieceBytes, bytes.size()));
    checksum.update(piece);
    TARN_CHECK(solo->write(piece));
    bytes = bytes.subspan(piece.size());
  }
  member.checksum = checksum.digest();
  return on.commit_solo(*solo, member, receipt);
}

Result<void> append_removal(volume::Disk& on, const ObjectName& name, volume::Receipt* receipt) {
  volume::Member member = new_member(name, {});
  member.kind = volume::MemberKind::deleted;
  TARN_CHECK(on.append(member, {}, receipt));
  return {};
}

LocalWriter::LocalWriter(volume::Disk& disk, std::shared_ptr<WriterMemory> memory, const ObjectName& name, const PutOptions& options,
                         std::uint64_t size_hint, Guard guard, Form form)
    : disk_(disk), member_(new_member(name, options)), guard_(std::move(guard)), form_(form), memory_(std::move(memory)) {
  if (size_hint != UINT64_MAX) (void)reserve(std::min<std::uint64_t>(size_hint, limits::kSoloObjectBytesMin), WriterMemory::kOpenBytesMax);
}

bool LocalWriter::reserve(std::size_t size_bytes, std::size_t limit_bytes) {
  if (size_bytes <= std::max(taken_bytes_, WriterMemory::kFreeBytes)) return true;
  // Twice as much as there was, as the vector itself would take: one question for many small writes.
  const std::size_t wanted = std::clamp(2 * buffer_.capacity(), size_bytes, std::max(size_bytes, limits::kSoloObjectBytesMin));
  if (!memory_->take(wanted - taken_bytes_, limit_bytes)) return false;
  try {
    buffer_.reserve(wanted);
  } catch (...) {  // in the constructor nobody else would give it back
    memory_->give_back(wanted - taken_bytes_);
    throw;
  }
  taken_bytes_ = wanted;
  return true;
}

void LocalWriter::free_buffer() noexcept {
  buffer_ = std::vector<std::byte>();  // "= {}" would keep the memory
  memory_->give_back(std::exchange(taken_bytes_, 0));
}

Result<void> LocalWriter::write(std::span<const std::byte> bytes) {
  if (failed_) return fail(*failed_);
  if (ended_) return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": write after prepare or commit");
  if (bytes.size() > limits::kObjectBytesMax - size_bytes_)
    return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": longer than 5 TiB");
  checksum_.update(bytes);
  size_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (buffer_.empty() && bytes.size() >= limits::kSoloObjectBytesMin && solo_) return write_solo(bytes);
    const std::size_t room = limits::kSoloObjectBytesMin - buffer_.size();
    const auto piece = bytes.first(std::min(room, bytes.size()));
    if (!reserve(buffer_.size() + piece.size(), WriterMemory::kOpenBytesMax)) {
      TARN_CHECK(spill());
      free_buffer();
      if (piece.size() > WriterMemory::kFreeBytes) return write_solo(bytes);
    }
    buffer_.insert(buffer_.end(), piece.begin(), piece.end());
    bytes = bytes.subspan(piece.size());
    if (buffer_.size() == limits::kSoloObjectBytesMin) TARN_CHECK(spill());
  }
  return {};
}

Result<void> LocalWriter::write_solo(std::span<const std::byte> bytes) {
  auto written = [&]() -> Result<void> {
    if (!solo_) {
      TARN_TRY(solo_, disk_.create_solo(member_));
    }
    return bytes.empty() ? Result<void>() : solo_->write(bytes);
  }();
  if (!written) failed_ = written.error();
  return written;
}

Result<void> LocalWriter::spill() {
  auto written = write_solo(buffer_);
  buffer_.clear();
  return written;
}

Result<void> LocalWriter::end_body() {
  if (failed_) return fail(*failed_);
  if (ended_) return {};
  if ((solo_ && !buffer_.empty()) || (!solo_ && form_ == Form::solo)) TARN_CHECK(spill());
  if (solo_) {
    if (const auto finished = solo_->finish(); !finished) return fail(failed_.emplace(finished.error()));
    free_buffer();
  }
  member_.checksum = checksum_.digest();
  ended_ = true;
  return {};
}

Result<void> LocalWriter::prepare() {
  if (!failed_ && !ended_ && !solo_ && form_ == Form::by_size) TARN_CHECK(settle());
  return end_body();
}

/// From here on the body may wait for long: it keeps what it needs of the memory, or none.
Result<void> LocalWriter::settle() {
  const std::size_t size = buffer_.size();
  memory_->give_back(std::exchange(taken_bytes_, 0));
  if (size > kPreparedBytesMax || !memory_->take(size, WriterMemory::kPreparedBytesMax)) return spill();
  taken_bytes_ = size;
  buffer_.shrink_to_fit();
  return {};
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

Result<Checksum> LocalWriter::keep(const BodyId& id) {
  if (failed_) return fail(*failed_);
  if (!ended_ || committed_)
    return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": keep comes between prepare and commit");
  if (!solo_) return member_.checksum;
  TARN_TRY(const auto path, KeptBodies::path_for(disk_, id, member_.checksum, solo_->size_bytes()));
  TARN_CHECK(solo_->keep_as(path));
  return member_.checksum;
}

Result<void> LocalWriter::resume(const KeptBody& body) {
  if (ended_ || size_bytes_ != 0)
    return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": resume comes in place of write and prepare");
  const auto taken = [&]() -> Result<void> {
    TARN_TRY(solo_, disk_.resume_solo(member_, body.path));
    TARN_CHECK(solo_->take_over(body.size_bytes, [this](std::span<const std::byte> bytes) { checksum_.update(bytes); }));
    if (checksum_.digest() != body.checksum) return fail(ErrorCode::corrupt, body.path + ": is not what was written");
    size_bytes_ = body.size_bytes;
    return end_body();
  }();
  if (!taken && !failed_) failed_ = taken.error();
  return taken;
}

Result<ObjectInfo> LocalWriter::commit_as(const CopyTerms& terms) {
  if (committed_) return fail(ErrorCode::invalid, member_.name.bucket + "/" + member_.name.key + ": committed twice");
  TARN_CHECK(end_body());
  volume::Receipt receipt;
  TARN_TRY(const auto record, guard_(terms, [&](Durability durability, std::int64_t modified_ns) {
             member_.modified_ns = modified_ns;
             auto* const needed = durability == Durability::sync ? &receipt : nullptr;
             return solo_ ? disk_.commit_solo(*solo_, member_, needed) : disk_.append(member_, buffer_, needed);
           }));
  committed_ = true;
  solo_.reset();
  free_buffer();
  TARN_CHECK(disk_.wait_durable(receipt));
  return volume::object_info(member_.name.key, record);
}

}  // namespace tarn::object
