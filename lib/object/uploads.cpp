#include "object/uploads.hpp"

#include <algorithm>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/uuid.hpp"
#include "object/reader.hpp"
#include "object/writer.hpp"
#include "volume/extent_list.hpp"

namespace tarn::object {

namespace {

constexpr std::size_t kHashPieceBytes = 256 * limits::KiB;  // hashed twice while it is in the cache

std::string describe(const ObjectName& name, std::string_view id) {
  return "upload " + std::string(id.substr(0, 80)) + " of " + name.bucket + "/" + name.key;
}

Result<void> check_number(std::uint32_t number) {
  if (number >= 1 && number <= limits::kPartsMax) return {};
  return fail(ErrorCode::invalid, "part " + std::to_string(number) + ": parts are numbered from 1 to 10,000");
}

Result<void> check_order(std::span<const WantedPart> parts) {
  if (parts.empty()) return fail(ErrorCode::invalid, "an upload is completed with the list of its parts; this one is empty");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    TARN_CHECK(check_number(parts[i].number));
    if (i > 0 && parts[i].number <= parts[i - 1].number)
      return fail(ErrorCode::invalid, "part " + std::to_string(parts[i].number) + " comes after part " + std::to_string(parts[i - 1].number) +
                                          ": list the parts in the order of their numbers, each once");
  }
  return {};
}

/// Feeds a part's bytes to `whole`. @errors corrupt: they are not what was uploaded.
Result<void> hash_part(const volume::Disk& on, const volume::Record& part, std::uint32_t number, base::ChecksumStream& whole) {
  const auto opened = open_extents(on, part);
  if (!opened && opened.error().code == ErrorCode::not_found)
    return fail(ErrorCode::aborted, "part " + std::to_string(number) + " was uploaded again meanwhile; complete the upload again");
  TARN_TRY(const auto extents, opened);
  base::ChecksumStream own;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(part.size_bytes, kHashPieceBytes)));
  for (std::uint64_t at = 0; at < part.size_bytes;) {
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), part.size_bytes - at)));
    TARN_CHECK(read_extents(extents, at, piece));
    own.update(piece);
    whole.update(piece);
    at += piece.size();
  }
  if (own.digest() == part.checksum) return {};
  return fail(ErrorCode::corrupt, "part " + std::to_string(number) + ": its bytes in " +
                                      (extents.empty() ? on.path() : extents.front().file->path()) + " do not match their checksum; upload it again");
}

/// The whole object's checksum.
Result<Checksum> hash_parts(const volume::Disk& on, std::span<const WantedPart> wanted, std::span<const volume::Record> parts) {
  base::ChecksumStream whole;
  for (std::size_t i = 0; i < parts.size(); ++i) TARN_CHECK(hash_part(on, parts[i], wanted[i].number, whole));
  return whole.digest();
}

bool same_versions(std::span<const volume::Record> a, std::span<const volume::Record> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return x.sequence == y.sequence; });
}

}  // namespace

Result<volume::Record> Uploads::need_upload(const volume::Disk& on, const ObjectName& name, std::string_view id) {
  const ObjectName note = upload_name(id, name);
  TARN_TRY(auto record, on.find(note.bucket, note.key));
  if (!record) return fail(ErrorCode::not_found, "no " + describe(name, id) + ": it was completed or aborted, or never begun");
  return std::move(*record);
}

/// @errors invalid.
Result<std::vector<volume::Record>> Uploads::find_parts(const volume::Disk& on, std::string_view id, std::span<const WantedPart> parts) {
  std::vector<volume::Record> records;
  records.reserve(parts.size());
  for (const WantedPart& part : parts) {
    const ObjectName key = part_name(id, part.number);
    TARN_TRY(auto record, on.find(key.bucket, key.key));
    if (!record) return fail(ErrorCode::invalid, "part " + std::to_string(part.number) + " was never uploaded");
    if (part.checksum && *part.checksum != record->checksum)
      return fail(ErrorCode::invalid, "part " + std::to_string(part.number) + " has the checksum " + base::to_hex(record->checksum) + ", not " +
                                          base::to_hex(*part.checksum) + " as the list says");
    records.push_back(std::move(*record));
  }
  return records;
}

Result<UploadInfo> Uploads::begin(std::uint32_t disk, const ObjectName& name, const PutOptions& options) {
  TARN_TRY(auto* const on, disks_.at(disk));
  TARN_CHECK(base::check_name(name));
  TARN_CHECK(volume::check_options(options));
  UploadInfo upload{base::Uuid::random().to_string(), name, 0, options};
  volume::Member note = new_member(upload_name(upload.id, name), options);
  note.checksum = base::xxh3_128({});
  upload.started_ns = note.modified_ns;
  volume::Receipt receipt;
  {
    const std::shared_lock lock(buckets_.guard());
    TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
    TARN_CHECK(on->append(note, {}, durability == Durability::sync ? &receipt : nullptr));
  }
  TARN_CHECK(on->wait_durable(receipt));
  return upload;
}

Result<std::unique_ptr<ObjectWriter>> Uploads::part(std::uint32_t disk, const ObjectName& name, std::string_view id, std::uint32_t number,
                                                    std::uint64_t size_hint) {
  TARN_TRY(auto* const on, disks_.at(disk));
  TARN_CHECK(check_number(number));
  TARN_CHECK(need_upload(*on, name, id));
  auto guard = [this, on, name, id = std::string(id)](const CopyTerms&, const LocalWriter::LastStep& last_step) -> Result<volume::Record> {
    const std::shared_lock lock(guard_);
    TARN_CHECK(need_upload(*on, name, id));
    const std::shared_lock bucket_lock(buckets_.guard());
    TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
    return last_step(durability, base::now_ns());
  };
  return std::make_unique<LocalWriter>(*on, memory_, part_name(id, number), PutOptions{}, size_hint, std::move(guard), LocalWriter::Form::solo);
}

Result<std::vector<PartInfo>> Uploads::parts(std::uint32_t disk, const ObjectName& name, std::string_view id) const {
  TARN_TRY(auto* const on, disks_.at(disk));
  TARN_CHECK(need_upload(*on, name, id));
  TARN_TRY(const auto stored, parts_on(*on, id));
  std::vector<PartInfo> parts;
  for (const auto& [key, record] : stored)
    if (const auto number = part_number_of(key)) parts.push_back({*number, record.size_bytes, record.checksum, record.modified_ns});
  return parts;
}

Result<std::vector<UploadInfo>> Uploads::list(std::string_view bucket) const {
  TARN_CHECK(buckets_.need(bucket));
  std::vector<UploadInfo> all;
  for (const auto& disk : disks_.all) {
    TARN_TRY(auto uploads, uploads_on(*disk, bucket));
    std::move(uploads.begin(), uploads.end(), std::back_inserter(all));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return std::tie(a.name, a.id) < std::tie(b.name, b.id); });
  return all;
}

Result<ObjectInfo> Uploads::complete(std::uint32_t disk, const ObjectName& name, std::string_view id, std::span<const WantedPart> parts) {
  TARN_TRY(auto* const on, disks_.at(disk));
  TARN_TRY(const auto note, need_upload(*on, name, id));
  TARN_CHECK(check_order(parts));
  TARN_TRY(const auto hashed, find_parts(*on, id, parts));
  std::vector<volume::Extent> extents;
  for (const auto& record : hashed) extents.insert(extents.end(), record.extents.begin(), record.extents.end());
  volume::Member member = new_member(name, {note.content_type, note.user_metadata});
  member.object_bytes = volume::extents_bytes(extents).value_or(UINT64_MAX);
  if (member.object_bytes > limits::kObjectBytesMax) return fail(ErrorCode::invalid, describe(name, id) + ": its parts are longer than 5 TiB");
  TARN_TRY(member.object_checksum, hash_parts(*on, parts, hashed));
  {  // Parts can be seen before they are on stable storage: of a writer that waits, or of a process that was killed.
    TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
    if (durability == Durability::sync) TARN_CHECK(on->settle());
  }

  const std::unique_lock lock(guard_);
  TARN_CHECK(need_upload(*on, name, id));
  TARN_TRY(const auto now, find_parts(*on, id, parts));
  if (!same_versions(hashed, now)) return fail(ErrorCode::aborted, describe(name, id) + ": a part was uploaded again meanwhile; complete it again");
  volume::Receipt receipt;
  Result<volume::Record> record = fail(ErrorCode::internal, "");
  {
    const std::shared_lock bucket_lock(buckets_.guard());
    TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
    record = on->assemble(member, extents, durability == Durability::sync ? &receipt : nullptr);
  }
  TARN_CHECK(record);
  TARN_CHECK(on->wait_durable(receipt));
  // The object is there. While the note is, too, the parts keep their names: to complete it again does no harm, to forget that would
  // keep their space when the object goes. Parts without a note are removed when the store is opened.
  volume::Receipt closed;
  TARN_CHECK(append_removal(*on, upload_name(id, name), receipt.volume ? &closed : nullptr));
  TARN_CHECK(on->wait_durable(closed));
  if (const auto removed = remove_parts(*on, id); !removed)
    base::log_warn(describe(name, id) + ": its parts stay for now: " + removed.error().message);
  return volume::object_info(name.key, *record);
}

Result<void> Uploads::abort(std::uint32_t disk, const ObjectName& name, std::string_view id) {
  TARN_TRY(auto* const on, disks_.at(disk));
  {
    const std::unique_lock lock(guard_);
    TARN_CHECK(need_upload(*on, name, id));
    volume::Receipt receipt;
    const auto durability = buckets_.durability_of(name.bucket);
    TARN_CHECK(append_removal(*on, upload_name(id, name), durability && *durability == Durability::sync ? &receipt : nullptr));
    TARN_CHECK(on->wait_durable(receipt));
    TARN_CHECK(remove_parts(*on, id));
  }
  return on->commit();
}

Result<void> Uploads::remove_parts(volume::Disk& on, std::string_view id) {
  TARN_TRY(const auto stored, parts_on(on, id));
  for (const auto& part : stored) TARN_CHECK(append_removal(on, {std::string(kPartsBucket), part.first}, nullptr));
  return {};
}

void Uploads::remove_orphans() {
  for (const auto& disk : disks_.all)
    if (const auto removed = remove_orphans_of(*disk); !removed) base::log_warn(removed.error().message);
}

Result<void> Uploads::remove_orphans_of(volume::Disk& on) {
  if (on.incomplete()) return {};  // the upload may be in what could not be read
  TARN_TRY(const auto stored, parts_on(on, {}));
  if (stored.empty()) return {};
  TARN_TRY(const auto uploads, uploads_on(on, {}));
  std::set<std::string_view> needed;
  for (const auto& upload : uploads) needed.insert(upload.id);
  for (const auto& part : stored) {
    const std::string& key = part.first;
    if (needed.contains(upload_id_of(key))) continue;
    if (on.doubtful()) TARN_CHECK(on.set_aside(part.second));
    TARN_CHECK(append_removal(on, {std::string(kPartsBucket), key}, nullptr));
  }
  return {};
}

}  // namespace tarn::object
