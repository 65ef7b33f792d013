#include "object/appends.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "object/reader.hpp"
#include "object/upload_keys.hpp"
#include "object/writer.hpp"

namespace tarn::object {

namespace {

constexpr int kAttempts = 8;                          // a version that is replaced as we write
constexpr std::size_t kHashedMax = 64;                // of about 600 bytes
constexpr std::size_t kPieceBytes = 1 * limits::MiB;  // copied at a time
constexpr std::uint64_t kTailBytesMax = 64 * limits::MiB;

std::string full_name(const ObjectName& name) {
  return name.bucket + "/" + name.key;
}

PutOptions options_of(const volume::Record& record) {
  return {record.content_type, record.user_metadata};
}

/// How many of the extents stay as they are.
std::size_t kept_extents(const std::vector<volume::Extent>& extents, std::uint64_t new_bytes) {
  std::size_t kept = extents.size();
  std::uint64_t tail = new_bytes;
  for (; kept > 0; --kept) {
    const auto& last = extents[kept - 1];
    const bool must = !last.solo || kept >= limits::kPartsMax;
    if (!must && (last.length_bytes > tail || tail + last.length_bytes > kTailBytesMax)) break;
    tail += last.length_bytes;
  }
  return kept;
}

}  // namespace

Result<ObjectInfo> Appends::append(volume::Disk& on, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options) {
  const std::lock_guard turn(turns_[std::hash<std::string>()(name.key) % turns_.size()]);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    TARN_CHECK(buckets_.need(name.bucket));
    TARN_TRY(const auto found, on.find(name.bucket, name.key));
    // One that is not there yet is an empty one of no version.
    volume::Record none;
    none.content_type = options.content_type;
    none.user_metadata = options.user_metadata;
    none.checksum = base::xxh3_128({});
    auto extended = extend({on, name, found ? *found : none, bytes});
    if (extended || extended.error().code != ErrorCode::aborted) return extended;
  }
  return fail(ErrorCode::aborted, full_name(name) + ": was replaced again and again while bytes were appended to it; try again");
}

Result<ObjectInfo> Appends::extend(const Addition& addition) {
  const auto& [on, name, old, bytes] = addition;
  const std::uint64_t size_bytes = old.size_bytes + bytes.size();
  if (size_bytes > limits::kObjectBytesMax) return fail(ErrorCode::invalid, full_name(name) + ": would be longer than 5 TiB");
  auto extents = open_extents(on, old);
  if (!extents && extents.error().code == ErrorCode::not_found) return fail(ErrorCode::aborted, extents.error().message);
  TARN_CHECK(extents);
  if (on_demand(*extents)) {  // held, but not open: is it what was looked up?
    TARN_TRY(const auto now, on.find(name.bucket, name.key));
    if (!now || now->sequence != old.sequence) return fail(ErrorCode::aborted, full_name(name) + ": was replaced meanwhile");
  }
  LocalReader reader(on, name, volume::object_info(name.key, old), old.sequence, std::move(*extents));
  TARN_TRY(auto stream, hash_of(addition, reader));
  stream.update(bytes);
  auto record =
      size_bytes < limits::kSoloObjectBytesMin ? write_small(addition, reader, stream.digest()) : write_extent(addition, reader, stream.digest());
  TARN_CHECK(record);
  keep(on, record->sequence, std::move(stream));
  return volume::object_info(name.key, *record);
}

Result<volume::Record> Appends::write_small(const Addition& addition, ObjectReader& reader, const Checksum& checksum) {
  const auto& [on, name, old, bytes] = addition;
  std::vector<std::byte> whole(old.size_bytes);
  TARN_CHECK(reader.read(0, whole));
  whole.insert(whole.end(), bytes.begin(), bytes.end());
  volume::Member member = new_member(name, options_of(old));
  member.checksum = checksum;
  return commit(on, name, old.sequence, [&, &disk = on](volume::Receipt* receipt) { return disk.append(member, whole, receipt); });
}

Result<volume::Record> Appends::write_extent(const Addition& addition, ObjectReader& reader, const Checksum& checksum) {
  const auto& [on, name, old, bytes] = addition;
  const std::size_t kept = kept_extents(old.extents, bytes.size());
  std::vector<volume::Extent> extents(old.extents.begin(), old.extents.begin() + static_cast<std::ptrdiff_t>(kept));
  std::uint64_t from = 0;
  for (const auto& extent : extents) from += extent.length_bytes;
  const ObjectName piece_name = part_name(base::Uuid::random().to_string(), 1);
  TARN_TRY(const auto piece, write_piece(addition, reader, from, piece_name));
  extents.push_back(piece.extents.front());
  volume::Member member = new_member(name, options_of(old));
  member.object_bytes = old.size_bytes + bytes.size();
  member.object_checksum = checksum;
  // What the old version keeps may be visible before it is on stable storage: of a put that waits, or of a process that was killed.
  auto record = [&, &disk = on]() -> Result<volume::Record> {
    TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
    if (kept > 0 && durability == Durability::sync) TARN_CHECK(disk.settle());
    return commit(disk, name, old.sequence, [&](volume::Receipt* receipt) { return disk.assemble(member, extents, receipt); });
  }();
  // It is the object's by now, or garbage. What cannot be removed now is when the store is opened.
  if (const auto removed = append_removal(on, piece_name, nullptr); !removed) base::log_warn(removed.error().message);
  return record;
}

/// The old object from `from` on and the new bytes, as a part; on stable storage in a bucket with durability sync.
Result<volume::Record> Appends::write_piece(const Addition& addition, ObjectReader& reader, std::uint64_t from, const ObjectName& name) const {
  auto& on = addition.on;
  volume::Member member = new_member(name, {});
  TARN_TRY(const auto solo, on.create_solo(member));
  base::ChecksumStream checksum;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(addition.old.size_bytes - from, kPieceBytes)));
  for (std::uint64_t at = from; at < addition.old.size_bytes;) {
    TARN_TRY(const std::size_t got, reader.read(at, buffer));
    const auto piece = std::span<const std::byte>(buffer).first(got);
    checksum.update(piece);
    TARN_CHECK(solo->write(piece));
    at += got;
  }
  for (auto rest = addition.bytes; !rest.empty();) {
    const auto piece = rest.first(std::min(rest.size(), kPieceBytes));
    checksum.update(piece);
    TARN_CHECK(solo->write(piece));
    rest = rest.subspan(piece.size());
  }
  member.checksum = checksum.digest();
  TARN_TRY(const auto durability, buckets_.durability_of(addition.name.bucket));
  volume::Receipt receipt;
  TARN_TRY(auto record, on.commit_solo(*solo, member, durability == Durability::sync ? &receipt : nullptr));
  TARN_CHECK(on.wait_durable(receipt));
  return record;
}

/// The last step, if the name has still that version. @errors aborted: it has another one.
Result<volume::Record> Appends::commit(volume::Disk& on, const ObjectName& name, std::uint64_t sequence, const LastStep& last_step) {
  volume::Receipt receipt;
  std::unique_lock guard(buckets_.guard());  // whoever puts holds it shared
  TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
  TARN_TRY(const auto now, on.find(name.bucket, name.key));
  if ((now ? now->sequence : 0) != sequence) return fail(ErrorCode::aborted, full_name(name) + ": was replaced meanwhile");
  TARN_TRY(auto record, last_step(durability == Durability::sync ? &receipt : nullptr));
  guard.unlock();
  TARN_CHECK(on.wait_durable(receipt));
  return record;
}

/// Of the old bytes, verified.
Result<base::ChecksumStream> Appends::hash_of(const Addition& addition, ObjectReader& reader) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = std::find_if(hashed_.begin(), hashed_.end(), [&](const Hashed& one) {
      return one.disk == &addition.on && one.sequence == addition.old.sequence && addition.old.sequence != 0;
    });
    if (at != hashed_.end()) {
      auto stream = std::move(at->stream);
      hashed_.erase(at);
      return stream;
    }
  }
  base::ChecksumStream stream;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(addition.old.size_bytes, kPieceBytes)));
  for (std::uint64_t at = 0; at < addition.old.size_bytes;) {
    TARN_TRY(const std::size_t got, reader.read(at, buffer));
    stream.update(std::span<const std::byte>(buffer).first(got));
    at += got;
  }
  if (stream.digest() != addition.old.checksum)
    return fail(ErrorCode::corrupt, full_name(addition.name) + ": its bytes do not match their checksum; nothing can be appended to it");
  return stream;
}

void Appends::keep(const volume::Disk& on, std::uint64_t sequence, base::ChecksumStream stream) {
  const std::lock_guard lock(mutex_);
  hashed_.push_back({&on, sequence, std::move(stream)});
  if (hashed_.size() > kHashedMax) hashed_.pop_front();
}

}  // namespace tarn::object
