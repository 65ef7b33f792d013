#include "volume/volume_mover.hpp"

#include <array>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "volume/file_cache.hpp"

namespace tarn::volume {

namespace {
constexpr std::array<std::byte, 2 * tar::kBlockBytes> kZeros{};  // a trailer; also padding

Extent place_of(std::uint64_t volume, const ScannedMember& found) {
  return {volume, found.data_offset, found.member.size_bytes, false, false, found.data_offset - found.header_offset};
}
}  // namespace

Result<std::string> VolumeMover::take(std::uint64_t volume, std::uint64_t oldest_dirty) {
  const std::string path = volume_file_path(context_.directory, volume);
  wrong_.clear();
  TARN_TRY(buckets_, context_.index.newest_notes());
  const auto file = context_.fs.open(path, base::OpenMode::read);
  if (!file && file.error().code == ErrorCode::busy) return fail(file.error());  // no descriptors left: that passes
  if (!file) return file.error().message;
  TARN_TRY(const std::string damage, look_at(volume, **file));
  if (!damage.empty()) return damage;
  Result<void> taken;
  const auto scanned = scan_volume(**file, context_.disk, volume, 0, [&](const ScannedMember& found) {
    taken = take_member(volume, **file, found, oldest_dirty);
    return taken;
  });
  TARN_CHECK(commit(VolumeKind::open));  // also after an error: what was copied counts
  TARN_CHECK(taken);
  if (!scanned) return scanned.error().message;
  if (!scanned->damages.empty() || scanned->torn_bytes > 0) wrong_ = path + ": is damaged";
  return wrong_;
}

/// Without copying anything: what is good of a damaged volume would lie on the disk twice, and give nothing back.
Result<std::string> VolumeMover::look_at(std::uint64_t volume, const base::File& file) {
  Result<void> looked;
  const auto scanned = scan_volume(file, context_.disk, volume, 0, [&](const ScannedMember& found) {
    looked = [&]() -> Result<void> {
      TARN_CHECK(context_.pace(0));
      if (!found.member.is_object()) return {};
      TARN_TRY(const bool needed, points_to(index_key(found.member.name.bucket, found.member.name.key), found, place_of(volume, found)));
      if (needed) (void)read_object(file, found);
      return {};
    }();
    return looked;
  });
  TARN_CHECK(looked);
  if (!scanned) return scanned.error().message;
  if (!scanned->damages.empty() || scanned->torn_bytes > 0) return file.path() + ": is damaged";
  return wrong_;
}

Result<bool> VolumeMover::points_to(std::string_view key, const ScannedMember& found, const Extent& place) const {
  TARN_TRY(const auto record, context_.index.find(key));
  if (!record || record->sequence != found.member.sequence) return false;
  return record->list ? *record->list == place : record->extents.size() == 1 && record->extents.front() == place;
}

/// Into the buffer. @return false: it is not what it should be, and wrong_ says so.
bool VolumeMover::read_object(const base::File& file, const ScannedMember& found) {
  buffer_.resize(found.member.size_bytes);
  const auto got = file.read_at(found.data_offset, buffer_);
  if (got && *got == buffer_.size() && base::xxh3_128(buffer_) == found.member.checksum) return true;
  if (wrong_.empty())
    wrong_ = file.path() + " at byte " + std::to_string(found.data_offset) + ": the bytes of " + found.member.name.bucket + "/" +
             found.member.name.key + " do not match their checksum";
  return false;
}

Result<void> VolumeMover::take_member(std::uint64_t volume, const base::File& file, const ScannedMember& found, std::uint64_t oldest_dirty) {
  const Member& member = found.member;
  if (member.is_object()) return take_object(volume, file, found);
  bool needed = false;
  if (member.kind == MemberKind::deleted) {
    TARN_TRY(needed, needs_removal(member, oldest_dirty));
  } else {
    const auto newest = buckets_.find(member.name.bucket);
    needed = newest == buckets_.end() || newest->second <= member.sequence;
  }
  if (!needed) return {};
  TARN_CHECK(copy(member, {}));
  return {};
}

Result<bool> VolumeMover::needs_removal(const Member& member, std::uint64_t oldest_dirty) const {
  if (member.newest_volume < oldest_dirty) return false;
  // A newer version says the same of all older ones.
  TARN_TRY(const auto record, context_.index.find(index_key(member.name.bucket, member.name.key)));
  return !record || record->sequence < member.sequence;
}

Result<void> VolumeMover::take_object(std::uint64_t volume, const base::File& file, const ScannedMember& found) {
  const Extent from = place_of(volume, found);
  std::string key = index_key(found.member.name.bucket, found.member.name.key);
  TARN_TRY(const bool needed, points_to(key, found, from));
  if (!needed || !read_object(file, found)) return {};
  TARN_TRY(const auto to, copy(found.member, buffer_));
  moves_.push_back({std::move(key), found.member.sequence, from, to});
  return moves_.size() < limits::kCompactionMovesMax ? Result<void>() : commit(VolumeKind::open);
}

Result<Extent> VolumeMover::copy(const Member& member, std::span<const std::byte> data) {
  TARN_CHECK(context_.pace(tar::padded(data.size()) + 3 * tar::kBlockBytes));
  if (!file_) {
    TARN_TRY(file_, context_.fs.open(volume_file_path(context_.directory, target_), base::OpenMode::create_new));
  }
  const auto header = encode_header(member, Place{context_.disk, target_, end_});
  const Extent to{target_, end_ + header.size(), data.size(), false, false, header.size()};
  const std::array<std::span<const std::byte>, 3> pieces{header, data, std::span(kZeros).first(tar::padded(data.size()) - data.size())};
  if (auto written = file_->write_at(end_, pieces); !written) {
    (void)file_->truncate(end_);  // else the next open() cuts it off
    return fail(std::move(written).error());
  }
  end_ += to.footprint_bytes();
  notes_.add(member, to.footprint_bytes());
  return to;
}

Result<void> VolumeMover::commit(VolumeKind kind) {
  if (!wrote()) return {};
  Batch batch;
  batch.moves = std::exchange(moves_, {});
  batch.volumes[target_] = VolumeState{kind, end_, 0, notes_};
  TARN_CHECK(context_.index.commit(batch));
  return {};
}

Result<void> VolumeMover::finish() {
  if (!file_) return {};
  const std::string path = file_->path();
  if (!wrote()) {
    file_.reset();
    return context_.fs.remove(path);
  }
  if (auto written = file_->write_at(end_, std::span<const std::byte>(kZeros)); !written) {
    (void)file_->truncate(end_);
    return written;
  }
  file_.reset();
  return commit(VolumeKind::sealed);
}

}  // namespace tarn::volume
