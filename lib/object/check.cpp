#include "object/check.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "object/reader.hpp"
#include "volume/disk.hpp"
#include "volume/file_cache.hpp"
#include "volume/scanner.hpp"

namespace tarn::object {

namespace {

using volume::Record;
using volume::ScannedMember;

class Check {
 public:
  Check(base::FileSystem& fs, volume::Disk& disk, const std::function<void(const CheckProgress&)>& progress)
      : fs_(fs), disk_(disk), progress_(progress) {}

  Result<CheckReport> run() {
    report_.directory = disk_.path();
    report_.rebuilt = disk_.rebuilt();
    report_.troubles = disk_.found_troubles();
    TARN_TRY(const auto counters, disk_.counters());
    report_.objects = counters.objects;
    report_.object_bytes = counters.object_bytes;
    seen_.resize(counters.sequence + 1);
    TARN_TRY(const auto names, fs_.list(disk_.path() + "/volumes"));
    for (const auto& name : names) {
      if (volume::volume_number(name) == UINT64_MAX) continue;
      TARN_TRY(const auto file, fs_.open(disk_.path() + "/volumes/" + name, base::OpenMode::read));
      TARN_TRY(const auto size_bytes, file->size());
      report_.volume_bytes += size_bytes;
    }
    for (const auto& name : names) {
      if (volume::volume_number(name) != UINT64_MAX) TARN_CHECK(check_volume(name));
    }
    TARN_CHECK(check_index());
    return std::move(report_);
  }

 private:
  Result<void> check_volume(const std::string& name) {
    const std::uint64_t volume = volume::volume_number(name);
    TARN_TRY(const auto file, fs_.open(disk_.path() + "/volumes/" + name, base::OpenMode::read));
    TARN_TRY(const auto size_bytes, file->size());
    ++report_.volumes;
    const std::uint64_t before = done_;
    TARN_TRY(const auto result, volume::scan_volume(*file, disk_.identity().id, volume, 0,
                                                    [&](const ScannedMember& found) { return check_member(volume, *file, found); }));
    for (const auto& damage : result.damages)
      trouble(file->path() + ": bytes " + std::to_string(damage.offset) + " to " + std::to_string(damage.offset + damage.length_bytes) +
              " are damaged headers or what belongs to them");
    if (result.torn_bytes > 0) trouble(file->path() + ": bytes from " + std::to_string(result.end_offset) + " on are damaged or not Tarn's");
    done_ = before + size_bytes;
    report_progress();
    return {};
  }

  void trouble(std::string text) {
    // The open() before this has found the same damage where it had to read that part of the volume.
    if (std::find(report_.troubles.begin(), report_.troubles.end(), text) == report_.troubles.end()) report_.troubles.push_back(std::move(text));
  }

  Result<void> check_member(std::uint64_t volume, const base::File& file, const ScannedMember& found) {
    ++report_.members;
    const volume::Member& member = found.member;
    if (member.kind == volume::MemberKind::blocks) return {};
    std::optional<Record> record;
    if (member.kind == volume::MemberKind::object) {
      TARN_TRY(record, disk_.find(member.name.bucket, member.name.key));
    }
    const bool current = record && record->sequence == member.sequence;
    if (!current) report_.stale_bytes += found.end_offset - found.header_offset;
    TARN_TRY(const auto data, read_data(file, found));
    done_ += found.end_offset - found.header_offset;
    report_progress();
    const std::string where = file.path() + " at byte " + std::to_string(found.data_offset);
    if (!data.padding_is_zero) trouble(where + ": the padding behind this member's data is damaged");
    const bool good = member.kind != volume::MemberKind::object || data.checksum == member.checksum;
    if (!current) {
      if (!good) trouble(where + ": an old version of " + member.name.bucket + "/" + member.name.key + " is damaged (nothing reads it any more)");
      return {};
    }
    if (member.sequence < seen_.size()) seen_[member.sequence] = true;
    if (!good) {
      report_.damaged.push_back({member.name.bucket, member.name.key, where + ": its bytes do not match their checksum", false});
    } else if (!agrees(*record, member, volume, found.data_offset)) {
      report_.damaged.push_back({member.name.bucket, member.name.key, where + ": index and volume disagree; rebuild the index", false});
    }
    return {};
  }

  static bool agrees(const Record& record, const volume::Member& member, std::uint64_t volume, std::uint64_t data_offset) {
    if (record.size_bytes != member.size_bytes || record.checksum != member.checksum || record.modified_ns != member.modified_ns ||
        record.content_type != member.content_type || record.user_metadata != member.user_metadata)
      return false;
    if (record.extents.empty()) return member.size_bytes == 0;
    return record.extents.size() == 1 && record.extents.front() == volume::Extent{volume, data_offset, member.size_bytes, member.solo, member.solo};
  }

  struct Data {
    Checksum checksum{};
    bool padding_is_zero = true;
  };
  Result<Data> read_data(const base::File& file, const ScannedMember& found) {
    Data data;
    TARN_TRY(data.checksum, volume::checksum_of(file, found.data_offset, found.member.size_bytes));
    const std::uint64_t data_end = found.data_offset + found.member.size_bytes;
    std::vector<std::byte> padding(found.end_offset - data_end);
    TARN_CHECK(file.read_at(data_end, padding));
    data.padding_is_zero = volume::tar::is_zero(padding);
    return data;
  }

  /// Objects of the index that no believable header belongs to.
  Result<void> check_index() {
    std::vector<std::pair<ObjectName, Record>> unseen;
    bool damaged_entry = false;
    TARN_CHECK(disk_.scan({}, [&](std::string_view joined, std::span<const std::byte> value) {
      auto record = volume::decode_record(value);
      damaged_entry |= !record;
      if (record && (record->sequence >= seen_.size() || !seen_[record->sequence]))
        unseen.emplace_back(ObjectName{std::string(joined.substr(0, joined.find('\0'))), std::string(volume::object_key(joined))},
                            std::move(*record));
      return volume::ScanStep{};
    }));
    if (damaged_entry) trouble(disk_.path() + ": an entry of the index is damaged; rebuild the index");
    for (const auto& [name, record] : unseen) report_.damaged.push_back(look_at_unseen(name, record));
    return {};
  }

  DamagedObject look_at_unseen(const ObjectName& name, const Record& record) const {
    DamagedObject damaged{name.bucket, name.key, {}, false};
    auto extents = open_extents(disk_, record);
    if (!extents) {
      damaged.reason = extents.error().message;
      return damaged;
    }
    base::ChecksumStream stream;
    std::vector<std::byte> buffer(std::min<std::uint64_t>(record.size_bytes, limits::MiB));
    for (std::uint64_t at = 0; at < record.size_bytes; at += buffer.size()) {
      const auto piece = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), record.size_bytes - at));
      if (const auto read = read_extents(*extents, at, piece); !read) {
        damaged.reason = read.error().message;
        return damaged;
      }
      stream.update(piece);
    }
    damaged.readable = stream.digest() == record.checksum;
    const std::string where = extents->empty() ? disk_.path() : extents->front().file->path() + " at byte " + std::to_string(extents->front().offset);
    damaged.reason = where + (damaged.readable ? ": its header is damaged; its bytes are intact: copy them before the index is rebuilt"
                                               : ": its header and its bytes are damaged");
    return damaged;
  }

  void report_progress() {
    if (progress_) progress_({std::min(done_, report_.volume_bytes), report_.volume_bytes});
  }

  base::FileSystem& fs_;
  volume::Disk& disk_;
  const std::function<void(const CheckProgress&)>& progress_;
  CheckReport report_;
  std::vector<bool> seen_;  // by sequence: the index's record has been met in a volume
  std::uint64_t done_ = 0;
};

}  // namespace

Result<CheckReport> check_disk(const std::string& directory, const CheckOptions& options, const std::function<void(const CheckProgress&)>& progress,
                               base::FileSystem& fs) {
  TARN_TRY(const auto disk, volume::Disk::open(fs, directory, {0, false, options.rebuild}));
  auto report = Check(fs, *disk, progress).run();
  TARN_CHECK(disk->close());
  return report;
}

}  // namespace tarn::object
