#include "object/check.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/rated_file_system.hpp"
#include "object/check_table.hpp"
#include "object/check_volume.hpp"
#include "object/quarantine.hpp"
#include "object/reader.hpp"
#include "volume/disk.hpp"
#include "volume/file_cache.hpp"

namespace tarn::object {

namespace {

using volume::Record;

constexpr unsigned kThreads = 2;                    // one reads while the other hashes; more would only take cores from others
constexpr std::uint64_t kProgressBytes = 16 << 20;  // between two calls

class Check {
 public:
  Check(base::FileSystem& fs, volume::Disk& disk, const CheckOptions& options, const std::function<void(const CheckProgress&)>& progress)
      : fs_(fs), disk_(disk), options_(options), progress_(progress) {}

  Result<CheckReport> run() {
    report_.directory = disk_.path();
    report_.rebuilt = disk_.rebuilt();
    report_.troubles = disk_.found_troubles();
    TARN_TRY(const auto counters, disk_.counters());
    report_.objects = counters.objects;
    report_.object_bytes = counters.object_bytes;
    TARN_TRY(const auto volumes, list_volumes());
    TARN_TRY(const auto table, CheckTable::make(disk_, options_.table_bytes_max));
    TARN_TRY(const auto parts, PartOwners::make(disk_));
    SeenSequences seen(counters.sequence);
    TARN_CHECK(check_volumes(volumes, seen, table ? &*table : nullptr, parts));
    if (!table || seen.count() < table->size()) TARN_CHECK(check_index(seen));
    TARN_CHECK(check_parts(parts));
    tell_unread();
    if (options_.quarantine) quarantine_damaged();
    return std::move(report_);
  }

 private:
  struct Volume {
    std::uint64_t number = 0;
    std::uint64_t size_bytes = 0;
    Result<VolumeFindings> findings;
  };

  struct Unread {
    std::string why;
    std::uint64_t objects = 0;  // current ones that have not been looked at
  };

  Result<std::vector<Volume>> list_volumes() {
    TARN_TRY(const auto names, fs_.list(disk_.path() + "/volumes"));
    std::vector<Volume> volumes;
    for (const auto& name : names) {
      if (volume::volume_number(name) == UINT64_MAX) continue;
      const auto file = fs_.open(disk_.path() + "/volumes/" + name, base::OpenMode::read);
      if (!file && file.error().code != ErrorCode::io) return fail(file.error());
      const std::uint64_t size_bytes = file ? (*file)->size().value_or(0) : 0;  // what is wrong with it is told when it is checked
      report_.volume_bytes += size_bytes;
      volumes.push_back({volume::volume_number(name), size_bytes, VolumeFindings()});
    }
    report_.volumes = volumes.size();
    return volumes;
  }

  /// The largest first, so that the threads end together; what they find is told in the order of the volumes.
  Result<void> check_volumes(std::vector<Volume> volumes, SeenSequences& seen, const CheckTable* table, const PartOwners& parts) {
    std::vector<Volume*> order;
    for (auto& one : volumes) order.push_back(&one);
    std::stable_sort(order.begin(), order.end(), [](const Volume* a, const Volume* b) { return a->size_bytes > b->size_bytes; });
    const CheckShared shared{fs_, disk_, seen, table, parts, [this](std::uint64_t bytes) { advance(bytes); }};
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next.fetch_add(1); i < order.size(); i = next.fetch_add(1)) {
        try {
          order[i]->findings = check_volume(shared, order[i]->number);
        } catch (const std::exception& error) {
          order[i]->findings = fail(ErrorCode::io, disk_.path() + ": check: " + error.what());
        }
      }
    };
    std::vector<std::thread> helpers;
    for (unsigned i = 1; i < std::min<std::size_t>(kThreads, order.size()); ++i) helpers.emplace_back(work);
    work();
    for (auto& helper : helpers) helper.join();
    for (auto& one : volumes) TARN_CHECK(take(one));
    if (progress_) progress_({report_.volume_bytes, report_.volume_bytes});
    return {};
  }

  Result<void> take(Volume& one) {
    if (!one.findings && one.findings.error().code != ErrorCode::io) return fail(std::move(one.findings).error());
    if (!one.findings) {  // the rest of the disk can be checked
      unread_[one.number].why = one.findings.error().message;
      return {};
    }
    if (!one.findings->unread.empty()) unread_[one.number].why = one.findings->unread;
    report_.members += one.findings->members;
    report_.stale_bytes += one.findings->stale_bytes;
    copies_.insert(one.findings->copies.begin(), one.findings->copies.end());
    for (auto& damaged : one.findings->damaged) add_damaged(std::move(damaged));
    if (one.findings->part_seen) parts_seen_.insert(one.number);
    for (auto& text : one.findings->troubles) trouble(std::move(text));
    return {};
  }

  void trouble(std::string text) {
    // The open() before this has found the same damage where it had to read that part of the volume.
    if (std::find(report_.troubles.begin(), report_.troubles.end(), text) == report_.troubles.end()) report_.troubles.push_back(std::move(text));
  }

  /// An assembled object may have several parts that are damaged.
  void add_damaged(DamagedObject damaged) {
    auto& all = report_.damaged;
    const auto same = std::find_if(all.begin(), all.end(), [&](const DamagedObject& one) { return one.sequence == damaged.sequence; });
    if (same == all.end()) return all.push_back(std::move(damaged));
    same->reason += "; " + damaged.reason;
    same->readable &= damaged.readable;
    same->index_only &= damaged.index_only;
  }

  /// Any thread.
  void advance(std::uint64_t bytes) {
    const std::uint64_t before = done_.fetch_add(bytes);
    if (!progress_ || before / kProgressBytes == (before + bytes) / kProgressBytes) return;
    const std::lock_guard lock(progress_mutex_);
    const std::uint64_t now = std::min(done_.load(), report_.volume_bytes);
    progress_({now, report_.volume_bytes});
  }

  /// Objects of the index that no believable header belongs to.
  Result<void> check_index(const SeenSequences& seen) {
    std::vector<std::pair<ObjectName, Record>> unseen;
    bool damaged_entry = false;
    TARN_CHECK(disk_.scan({}, [&](std::string_view joined, std::span<const std::byte> value) {
      auto record = volume::decode_record(value);
      damaged_entry |= !record;
      if (record && !seen.has(record->sequence))
        unseen.emplace_back(ObjectName{std::string(joined.substr(0, joined.find('\0'))), std::string(volume::object_key(joined))},
                            std::move(*record));
      return volume::ScanStep{};
    }));
    if (damaged_entry) trouble(disk_.path() + ": an entry of the index is damaged; rebuild the index");
    for (const auto& [name, record] : unseen) {
      if (Unread* volume = unread_of(record); volume != nullptr) {
        ++volume->objects;
        continue;
      }
      report_.damaged.push_back(look_at_unseen(name, record, record.extents.empty() ? volume::Extent() : record.extents.front()));
      if (copies_.count(record.sequence) == 0 || report_.damaged.back().readable) continue;
      report_.damaged.back().index_only = true;
      report_.damaged.back().reason = disk_.path() + ": index and volume disagree; rebuild the index";
    }
    return {};
  }

  /// Parts of assembled objects that no believable header belongs to.
  Result<void> check_parts(const PartOwners& parts) {
    std::set<std::uint64_t> told;  // sequences of their objects
    for (const auto& [volume, part] : parts.parts()) {
      if (parts_seen_.count(volume) != 0) continue;
      const auto& owner = parts.owner_of(part);
      if (!told.insert(owner.sequence).second) continue;
      if (const auto unread = unread_.find(volume); unread != unread_.end()) {
        ++unread->second.objects;
        continue;
      }
      TARN_TRY(const auto record, disk_.find(owner.name.bucket, owner.name.key));
      if (record && record->sequence == owner.sequence) add_damaged(look_at_unseen(owner.name, *record, part.extent));
    }
    return {};
  }

  /// A volume of an object's that could not be read to its end: of the object nothing is known then.
  Unread* unread_of(const Record& record) {
    for (const auto& extent : record.extents)
      if (const auto found = unread_.find(extent.volume); found != unread_.end()) return &found->second;
    return nullptr;
  }

  void tell_unread() {
    for (const auto& [volume, unread] : unread_)
      trouble(volume::volume_file_path(disk_.path(), volume) + ": could not be read to its end (" + unread.why + "); " +
              std::to_string(unread.objects) + (unread.objects == 1 ? " object in it was" : " objects in it were") + " not looked at");
  }

  /// @param place  whose header was not met.
  DamagedObject look_at_unseen(const ObjectName& name, const Record& record, const volume::Extent& place) const {
    DamagedObject damaged{name.bucket, name.key, {}, false};
    damaged.sequence = record.sequence;
    const auto extents = open_extents(disk_, record);
    const auto checksum = extents ? checksum_of(*extents) : Result<Checksum>(fail(extents.error()));
    if (!checksum) {
      damaged.reason = checksum.error().message;
      return damaged;
    }
    damaged.readable = *checksum == record.checksum;
    const std::string where = volume::volume_file_path(disk_.path(), place.volume) + " at byte " + std::to_string(place.offset);
    damaged.reason = where + (damaged.readable ? ": its header is damaged; its bytes are intact: copy them before the index is rebuilt"
                                               : ": its header and its bytes are damaged");
    return damaged;
  }

  void quarantine_damaged() {
    for (auto& damaged : report_.damaged) {
      const ObjectName name{damaged.bucket, damaged.key};
      if (damaged.index_only) continue;
      if (damaged.readable) {
        const auto written = write_anew(disk_, name);
        damaged.outcome = written ? "written anew" : "could not be written anew: " + written.error().message;
        continue;
      }
      const auto path = quarantine(fs_, disk_, name);
      if (!path)
        damaged.outcome = "could not be taken out: " + path.error().message;
      else
        damaged.outcome = path->empty() ? "taken out; nothing is left of it" : "taken out; what is left of it is in " + *path;
    }
  }

  base::FileSystem& fs_;
  volume::Disk& disk_;
  const CheckOptions& options_;
  const std::function<void(const CheckProgress&)>& progress_;
  CheckReport report_;
  std::atomic<std::uint64_t> done_{0};      // bytes
  std::mutex progress_mutex_;               // held while progress_ is called
  std::map<std::uint64_t, Unread> unread_;  // by volume
  std::set<std::uint64_t> parts_seen_;      // volumes
  std::set<std::uint64_t> copies_;          // sequences of current versions that were met where the index does not look for them
};

Result<CheckReport> check_once(const std::string& directory, const CheckOptions& options, const std::function<void(const CheckProgress&)>& progress,
                               base::FileSystem& fs) {
  TARN_TRY(const auto disk, volume::Disk::open(fs, directory, {0, false, options.rebuild, true}));
  auto report = Check(fs, *disk, options, progress).run();
  TARN_CHECK(disk->close());
  return report;
}

}  // namespace

Result<CheckReport> check_disk(const std::string& directory, const CheckOptions& options, const std::function<void(const CheckProgress&)>& progress,
                               base::FileSystem& real) {
  base::RatedFileSystem rated(real, options.bytes_per_s);
  base::FileSystem& fs = options.bytes_per_s > 0 ? rated : real;
  auto report = check_once(directory, options, progress, fs);
  if (report || options.rebuild || report.error().code != ErrorCode::corrupt) return report;
  CheckOptions anew = options;  // an index whose damage lies where only a change comes by
  anew.rebuild = true;
  return check_once(directory, anew, progress, fs);
}

}  // namespace tarn::object
