#include "object/check_volume.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "object/check_data.hpp"
#include "object/quarantine.hpp"
#include "volume/block_table.hpp"
#include "volume/extent_list.hpp"
#include "volume/file_cache.hpp"
#include "volume/file_window.hpp"
#include "volume/scanner.hpp"

namespace tarn::object {

namespace {

using volume::MemberKind;
using volume::Record;
using volume::ScannedMember;

constexpr std::size_t kWindowBytes = 256 * limits::KiB;

class VolumeCheck {
 public:
  VolumeCheck(const CheckShared& shared, std::uint64_t volume, const base::File& file)
      : shared_(shared), volume_(volume), window_(file, kWindowBytes), path_(file.path()) {}

  Result<VolumeFindings> run() {
    const auto scanned =
        volume::scan_volume(window_, shared_.disk.identity().id, volume_, 0, [&](const ScannedMember& found) { return check_member(found); });
    if (!scanned && scanned.error().code != ErrorCode::io) return fail(scanned.error());
    if (!scanned) out_.unread = scanned.error().message;
    const volume::ScanResult result = scanned ? *scanned : volume::ScanResult();
    for (const auto& damage : result.damages)
      trouble("bytes " + std::to_string(damage.offset) + " to " + std::to_string(damage.offset + damage.length_bytes) +
              " are damaged headers or what belongs to them");
    if (result.torn_bytes > 0) trouble("bytes from " + std::to_string(result.end_offset) + " on are damaged or not Tarn's");
    if (open_) close_solo(!open_->data.table_trouble.empty() ? open_->data.table_trouble : scanned ? "their header is damaged" : out_.unread);
    shared_.seen.add(seen_);
    return std::move(out_);
  }

 private:
  /// A solo volume's object whose table has not come yet.
  struct OpenSolo {
    DamagedObject object;
    std::uint64_t table_offset = 0;  // of its header
    DataCheck data;
    bool current = false;
  };

  static DamagedObject object_of(const ScannedMember& found, std::string reason) {
    DamagedObject object{found.member.name.bucket, found.member.name.key, std::move(reason), false};
    object.sequence = found.member.sequence;
    return object;
  }

  void trouble(const std::string& what) { out_.troubles.push_back(path_ + ": " + what); }
  [[nodiscard]] std::string at_byte(std::uint64_t offset) const { return path_ + " at byte " + std::to_string(offset); }

  Result<void> check_member(const ScannedMember& found) {
    ++out_.members;
    shared_.advance(found.data_offset - found.header_offset);
    if (found.member.kind == MemberKind::blocks) return check_table(found);
    auto known = CheckTable::Answer::absent;
    std::optional<Record> record;
    if (found.member.is_object()) known = ask_table(found);
    if (known == CheckTable::Answer::other) {
      TARN_TRY(record, shared_.disk.find(found.member.name.bucket, found.member.name.key));
    }
    const bool same = known == CheckTable::Answer::same;
    const bool version = same || (record && record->sequence == found.member.sequence);
    const bool current = same || (version && lies_here(*record, found));
    if (version && !current) out_.copies.push_back(found.member.sequence);
    if (current) seen_.push_back(found.member.sequence);
    if (is_part(found)) return check_part(found);
    if (!current && !found.member.is_bucket_note()) out_.stale_bytes += found.end_offset - found.header_offset;
    const bool with_table = found.member.solo && found.member.kind == MemberKind::object && (!current || has_table(*record));
    const auto data = check_data(window_, found, with_table, shared_.advance);
    if (!data) {
      blame(object_of(found, data.error().message), current);
      return {};
    }
    if (!data->padding_is_zero) trouble("at byte " + std::to_string(found.data_offset) + ": the padding behind this member's data is damaged");
    const bool good = !found.member.is_object() || data->matches;
    if (!good && current && found.member.kind == MemberKind::assembled) {
      DamagedObject object = object_of(found, at_byte(found.data_offset) + ": the list of its extents is damaged; its bytes are in other volumes");
      object.readable = true;
      blame(std::move(object), current);
    } else if (!good) {
      const std::string where = data->bad.empty() ? "" : ": " + describe(*data);
      blame(object_of(found, at_byte(found.data_offset) + ": its bytes do not match their checksum" + where), current);
    } else if (current && !same && !agrees(*record, found)) {
      DamagedObject object = object_of(found, at_byte(found.data_offset) + ": index and volume disagree; rebuild the index");
      object.index_only = true;
      blame(std::move(object), current);
    } else if (with_table) {
      open_ = OpenSolo{object_of(found, {}), found.end_offset, *data, current};
    }
    return {};
  }

  /// Whether this member is part of an assembled object, which is to blame then even while the part has still its own name.
  [[nodiscard]] bool is_part(const ScannedMember& found) const {
    return found.member.solo && found.member.kind == MemberKind::object && shared_.parts.find(volume_) != nullptr;
  }

  Result<void> check_part(const ScannedMember& found) {
    const PartOwners::Part& part = *shared_.parts.find(volume_);
    const PartOwners::Owner& owner = shared_.parts.owner_of(part);
    volume::Extent wanted = extent_of(found);
    wanted.blocks = part.extent.blocks;  // its table may have been lost with the machine's power
    out_.part_seen = true;
    DamagedObject object{owner.name.bucket, owner.name.key, {}, false};
    object.sequence = owner.sequence;
    const auto data = check_data(window_, found, part.extent.blocks, shared_.advance);
    if (!data) {
      object.reason = data.error().message;
    } else if (!data->matches) {
      object.reason = at_byte(found.data_offset) + ": the bytes of a part of it do not match their checksum" +
                      (data->bad.empty() ? "" : ": " + describe(*data) + " of the part");
    } else if (part.extent != wanted) {
      object.index_only = true;
      object.reason = at_byte(found.data_offset) + ": index and volume disagree on a part of it; rebuild the index";
    } else {
      if (!data->padding_is_zero) trouble("at byte " + std::to_string(found.data_offset) + ": the padding behind this member's data is damaged");
      if (part.extent.blocks) open_ = OpenSolo{std::move(object), found.end_offset, *data, true};
      return {};
    }
    blame(std::move(object), true);
    return {};
  }

  /// For objects in volumes of their own it is not worth it: nor does the table know of their block hashes.
  CheckTable::Answer ask_table(const ScannedMember& found) {
    if (shared_.table == nullptr || found.member.solo || found.member.kind == MemberKind::assembled) return CheckTable::Answer::other;
    const volume::Member& member = found.member;
    expected_.sequence = member.sequence;
    expected_.size_bytes = member.size_bytes;
    expected_.checksum = member.checksum;
    expected_.modified_ns = member.modified_ns;
    expected_.content_type = member.content_type;
    expected_.user_metadata = member.user_metadata;
    expected_.extents.assign(1, extent_of(found));
    key_.assign(member.name.bucket).append(1, '\0').append(member.name.key);
    return shared_.table->compare(key_, expected_, table_hint_);
  }

  [[nodiscard]] volume::Extent extent_of(const ScannedMember& found) const {
    return {volume_, found.data_offset, found.member.size_bytes, found.member.solo, found.member.solo, found.data_offset - found.header_offset};
  }

  static bool has_table(const Record& record) {
    return std::any_of(record.extents.begin(), record.extents.end(), [](const auto& extent) { return extent.blocks; });
  }

  /// Of a current object, or of one that nothing reads any more. The latter is known already once it lies in quarantine.
  void blame(DamagedObject object, bool current) {
    if (current)
      out_.damaged.push_back(std::move(object));
    else if (!in_quarantine(shared_.fs, shared_.disk.path(), object.sequence))
      out_.troubles.push_back("an old version of " + object.bucket + "/" + object.key + " is damaged (nothing reads it any more): " + object.reason);
  }

  Result<void> check_table(const ScannedMember& found) {
    if (!open_ || open_->table_offset != found.header_offset) return {};
    if (!open_->data.table_trouble.empty())
      close_solo(open_->data.table_trouble);
    else if (open_->data.table_checksum != found.member.checksum)
      close_solo("they do not match their checksum");
    else if (open_->data.bad_blocks > 0)
      close_solo("they are not those of its bytes");
    if (open_ && !open_->data.table_padding_is_zero)
      trouble("at byte " + std::to_string(found.data_offset) + ": the padding behind this member's data is damaged");
    open_.reset();
    return {};
  }

  void close_solo(const std::string& what) {
    open_->object.readable = true;
    open_->object.reason =
        at_byte(open_->table_offset) + ": its block hashes are damaged (" + what + "), so that parts of it cannot be verified; its bytes are intact";
    blame(std::move(open_->object), open_->current);
    open_.reset();
  }

  [[nodiscard]] bool lies_here(const Record& record, const ScannedMember& found) const {
    if (record.list) return record.list->volume == volume_ && record.list->offset == found.data_offset;
    return record.extents.size() == 1 && record.extents.front().volume == volume_ && record.extents.front().offset == found.data_offset;
  }

  /// A record whose member lies here, with that member.
  [[nodiscard]] bool agrees(const Record& record, const ScannedMember& found) {
    const volume::Member& member = found.member;
    const bool assembled = member.kind == MemberKind::assembled;
    if (assembled != record.list.has_value()) return false;
    if (record.size_bytes != (assembled ? member.object_bytes : member.size_bytes) ||
        record.checksum != (assembled ? member.object_checksum : member.checksum) || record.modified_ns != member.modified_ns ||
        record.content_type != member.content_type || record.user_metadata != member.user_metadata)
      return false;
    volume::Extent wanted = extent_of(found);
    if (assembled) return *record.list == wanted && lists(found, record.extents);
    if (!record.extents.front().blocks) wanted.blocks = false;  // its table was lost with the machine's power
    return record.extents.front() == wanted;
  }

  /// Its data are known to be what was written.
  [[nodiscard]] bool lists(const ScannedMember& found, const std::vector<volume::Extent>& extents) {
    std::vector<std::byte> list(static_cast<std::size_t>(found.member.size_bytes));
    const auto got = window_.file().read_at(found.data_offset, list);
    auto listed = volume::decode_extent_list(list);
    if (!got || *got != list.size() || !listed || listed->size() != extents.size()) return false;
    for (std::size_t i = 0; i < extents.size(); ++i)
      if (!extents[i].blocks) (*listed)[i].blocks = false;  // its table was lost with the machine's power
    return *listed == extents;
  }

  const CheckShared& shared_;
  const std::uint64_t volume_;
  volume::FileWindow window_;
  const std::string path_;
  std::optional<OpenSolo> open_;
  std::vector<std::uint64_t> seen_;
  std::size_t table_hint_ = 0;
  Record expected_;  // these two keep their memory from member to member
  std::string key_;
  VolumeFindings out_;
};

}  // namespace

Result<VolumeFindings> check_volume(const CheckShared& shared, std::uint64_t volume) {
  TARN_TRY(const auto file, shared.fs.open(volume::volume_file_path(shared.disk.path(), volume), base::OpenMode::read));
  return VolumeCheck(shared, volume, *file).run();
}

}  // namespace tarn::object
