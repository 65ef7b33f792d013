#include "object/local_store.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "object/listing.hpp"
#include "object/reader.hpp"
#include "object/writer.hpp"
#include "volume/disk.hpp"
#include "volume/file_cache.hpp"

namespace tarn::object {

namespace {

constexpr std::size_t kVisitBatch = 1000;                   // records copied out of one index snapshot
constexpr std::size_t kSoloPieceBytes = 256 * limits::KiB;  // hashed twice and written while it is in the cache
constexpr int kOpenAttempts = 8;                            // lookups of a name that is being overwritten as we open it

std::string full_name(const ObjectName& name) {
  return name.bucket + "/" + name.key;
}

StoredObject to_stored(std::uint32_t disk, std::string_view key, const volume::Record& record) {
  StoredObject stored{volume::object_info(key, record), disk, record.sequence, {}};
  stored.extents.reserve(record.extents.size());
  for (const auto& extent : record.extents) {
    if (extent.length_bytes > 0) stored.extents.push_back({extent.volume, extent.offset, extent.length_bytes, extent.blocks});
  }
  return stored;
}

Result<void> append_removal(volume::Disk& on, const ObjectName& name, volume::Receipt* receipt) {
  volume::Member member = new_member(name, {});
  member.kind = volume::MemberKind::deleted;
  TARN_CHECK(on.append(member, {}, receipt));
  return {};
}

}  // namespace

std::string volume_path(std::string_view directory, std::uint64_t volume) {
  return volume::volume_file_path(directory, volume);
}

class LocalStore::Impl {
 public:
  std::vector<std::unique_ptr<volume::Disk>> disks;
  base::FileSystem* fs = nullptr;
  const std::shared_ptr<WriterMemory> writer_memory = std::make_shared<WriterMemory>();  // writers may outlive the store

  /// Whoever adds an object holds it shared, whoever adds or removes a bucket, or removes a certain version, alone: no object
  /// gets into a bucket that goes. Readers do not take it.
  std::shared_mutex bucket_guard;
  mutable std::shared_mutex buckets_mutex;  // guards buckets; held for lookups and single changes only
  std::map<std::string, BucketInfo, std::less<>> buckets;

  [[nodiscard]] Result<volume::Disk*> disk(std::uint32_t index) const {
    if (index >= disks.size()) return fail(ErrorCode::invalid, "disk " + std::to_string(index) + ": there are " + std::to_string(disks.size()));
    return disks[index].get();
  }
  [[nodiscard]] bool has_bucket(std::string_view bucket) const {
    const std::shared_lock lock(buckets_mutex);
    return buckets.find(bucket) != buckets.end();
  }
  /// @errors bucket_not_found.
  [[nodiscard]] Result<Durability> durability_of(std::string_view bucket) const {
    const std::shared_lock lock(buckets_mutex);
    if (const auto at = buckets.find(bucket); at != buckets.end()) return at->second.durability;
    return fail(ErrorCode::bucket_not_found, "no bucket named " + std::string(bucket));
  }
  [[nodiscard]] Result<void> need_bucket(std::string_view bucket) const {
    TARN_CHECK(durability_of(bucket));
    return {};
  }

  Result<void> load_buckets();
  enum class Wait : bool { no, as_the_bucket_does };
  [[nodiscard]] Result<void> note_bucket(volume::Disk& on, const BucketInfo& bucket, volume::MemberKind kind,
                                         Wait wait = Wait::as_the_bucket_does) const;
  [[nodiscard]] Result<bool> is_empty(std::string_view bucket) const;
  [[nodiscard]] Result<volume::Record> find(const volume::Disk& on, const ObjectName& name) const;

  /// A record with its files open, of one version.
  struct Opened {
    volume::Record record;
    std::vector<FileExtent> extents;
  };
  /// A small object in one piece, verified: what nearly every get is. @return nullopt: anything else, get() tells what. @errors io, busy.
  [[nodiscard]] static Result<std::optional<std::vector<std::byte>>> get_small(const volume::Disk& on, const ObjectName& name);
  [[nodiscard]] Result<Opened> open_version(const volume::Disk& on, const ObjectName& name) const;
  [[nodiscard]] Result<volume::Record> put_solo(volume::Disk& on, volume::Member& member, std::span<const std::byte> bytes,
                                                volume::Receipt* receipt) const;
};

/// A bucket is known to every disk; one that lacks it (it was added later, or missed the creation) learns it.
Result<void> LocalStore::Impl::load_buckets() {
  std::vector<std::vector<BucketInfo>> known;
  for (const auto& one : disks) {
    TARN_TRY(auto list, one->buckets());
    for (const auto& bucket : list) {
      BucketInfo& merged = buckets.emplace(bucket.name, bucket).first->second;
      merged.durability = std::max(merged.durability, bucket.durability);  // a disk that lost its note knows none
    }
    known.push_back(std::move(list));
  }
  for (std::size_t i = 0; i < disks.size(); ++i) {
    for (const auto& named : buckets) {
      const BucketInfo& bucket = named.second;
      const bool has = std::any_of(known[i].begin(), known[i].end(),
                                   [&b = bucket](const BucketInfo& other) { return other.name == b.name && other.durability == b.durability; });
      if (!has) TARN_CHECK(note_bucket(*disks[i], bucket, volume::MemberKind::bucket_created));
    }
  }
  return {};
}

Result<void> LocalStore::Impl::note_bucket(volume::Disk& on, const BucketInfo& bucket, volume::MemberKind kind, Wait wait) const {
  volume::Member member;
  member.kind = kind;
  member.name.bucket = bucket.name;
  member.modified_ns = bucket.created_ns;
  member.durability = bucket.durability;
  volume::Receipt receipt;
  TARN_CHECK(on.append(member, {}, wait != Wait::no && bucket.durability == Durability::sync ? &receipt : nullptr));
  return on.wait_durable(receipt);
}

Result<bool> LocalStore::Impl::is_empty(std::string_view bucket) const {
  bool empty = true;
  const std::string begin = volume::index_key(bucket, {});
  for (const auto& one : disks) {
    TARN_CHECK(one->scan(begin, [&](std::string_view key, std::span<const std::byte>) {
      empty &= key.substr(0, begin.size()) != begin;
      return volume::ScanStep{volume::ScanStep::stop, {}};
    }));
  }
  return empty;
}

Result<volume::Record> LocalStore::Impl::find(const volume::Disk& on, const ObjectName& name) const {
  TARN_TRY(auto record, on.find(name.bucket, name.key));
  if (record) return std::move(*record);
  TARN_CHECK(need_bucket(name.bucket));
  return fail(ErrorCode::not_found, "no object named " + full_name(name));
}

Result<LocalStore::Impl::Opened> LocalStore::Impl::open_version(const volume::Disk& on, const ObjectName& name) const {
  // Between lookup and open an overwrite can remove the volume of the old version: then there is a newer one.
  Error last;
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    TARN_TRY(auto record, find(on, name));
    auto extents = open_extents(on, record);
    if (extents) return Opened{std::move(record), std::move(*extents)};
    last = std::move(extents).error();
    if (last.code != ErrorCode::not_found) return fail(std::move(last));
  }
  return fail(ErrorCode::corrupt, full_name(name) + ": its volume is missing (" + last.message + ")");
}

Result<std::optional<std::vector<std::byte>>> LocalStore::Impl::get_small(const volume::Disk& on, const ObjectName& name) {
  const auto brief = on.find_brief(name.bucket, name.key);
  if (!brief || brief->extent.solo || brief->extent.length_bytes != brief->size_bytes || brief->size_bytes == 0) return std::nullopt;
  const auto file = on.file(brief->extent.volume);
  if (!file && file.error().code == ErrorCode::not_found) return std::nullopt;  // it was replaced meanwhile
  if (!file) return fail(file.error());
  on.expect_verified(brief->sequence);
  std::vector<std::byte> bytes(brief->size_bytes);
  TARN_TRY(const std::size_t got, (*file)->read_at(brief->extent.offset, bytes));
  if (got != bytes.size() || base::xxh3_128(bytes) != brief->checksum) return std::nullopt;
  on.note_verified(brief->sequence);
  return bytes;
}

Result<volume::Record> LocalStore::Impl::put_solo(volume::Disk& on, volume::Member& member, std::span<const std::byte> bytes,
                                                  volume::Receipt* receipt) const {
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

LocalStore::LocalStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

LocalStore::~LocalStore() {
  if (const auto closed = close(); !closed) base::log_error(closed.error().message);
}

Result<std::unique_ptr<LocalStore>> LocalStore::open(const LocalStoreOptions& options, base::FileSystem& fs) {
  if (options.directories.empty()) return fail(ErrorCode::invalid, "a store needs at least one directory");
  auto impl = std::make_unique<Impl>();
  impl->fs = &fs;
  for (const auto& directory : options.directories) {
    TARN_TRY(auto disk, volume::Disk::open(fs, directory,
                                           {options.weight, true, false, false, options.volume_bytes_max, options.compaction, {}, options.space}));
    for (const auto& other : impl->disks) {
      if (other->identity().id == disk->identity().id)
        return fail(ErrorCode::invalid, disk->path() + ": is a copy of " + other->path() + " (same disk id); give only one of them");
      const auto &mine = disk->identity().store_id, &theirs = other->identity().store_id;
      if (!mine.is_nil() && !theirs.is_nil() && mine != theirs)
        return fail(ErrorCode::invalid,
                    disk->path() + ": belongs to store " + mine.to_string() + ", but " + other->path() + " to store " + theirs.to_string());
    }
    impl->disks.push_back(std::move(disk));
  }
  TARN_CHECK(impl->load_buckets());
  return std::unique_ptr<LocalStore>(new LocalStore(std::move(impl)));
}

Result<void> LocalStore::adopt(const base::Uuid& store_id, const volume::DiskSet& store_disks) {
  for (const auto& disk : impl_->disks) TARN_CHECK(disk->set_store(store_id, store_disks));
  return {};
}

volume::DiskSet LocalStore::known_disks() const {
  volume::DiskSet all;
  for (const auto& disk : impl_->disks) all = volume::merged(std::move(all), disk->identity().store_disks);
  return all;
}

std::vector<LocalDisk> LocalStore::disks() const {
  std::vector<LocalDisk> result;
  for (const auto& disk : impl_->disks) {
    LocalDisk one{disk->identity().id, disk->identity().store_id, disk->identity().weight, disk->path()};
    (void)disk->commit();  // so that the counters are of now; a failure shows as trouble
    if (const auto counters = disk->counters()) {
      one.objects = counters->objects;
      one.object_bytes = counters->object_bytes;
    }
    if (const auto space = disk->space()) one.space = *space;
    one.trouble = disk->trouble();
    one.compaction = disk->compaction();
    result.push_back(std::move(one));
  }
  return result;
}

Result<void> LocalStore::create_bucket(std::string_view bucket, std::int64_t created_ns, const BucketOptions& options) {
  TARN_CHECK(base::check_bucket_name(bucket));
  const std::unique_lock guard(impl_->bucket_guard);
  if (impl_->has_bucket(bucket)) return fail(ErrorCode::exists, "bucket " + std::string(bucket) + " exists already");
  const BucketInfo info{std::string(bucket), created_ns, options.durability};
  for (std::size_t i = 0; i < impl_->disks.size(); ++i) {
    auto noted = impl_->note_bucket(*impl_->disks[i], info, volume::MemberKind::bucket_created);
    if (noted) continue;
    // Else open() would complete it. On the last disk too: it may be the sync of its note that failed.
    for (std::size_t k = 0; k <= i; ++k) (void)impl_->note_bucket(*impl_->disks[k], info, volume::MemberKind::bucket_removed, Impl::Wait::no);
    return noted;
  }
  const std::unique_lock lock(impl_->buckets_mutex);
  impl_->buckets.emplace(info.name, info);
  return {};
}

Result<void> LocalStore::adopt_bucket(const BucketInfo& bucket) {
  if (!has_bucket(bucket.name)) return create_bucket(bucket.name, bucket.created_ns, {bucket.durability});
  const std::unique_lock guard(impl_->bucket_guard);
  TARN_TRY(const auto here, impl_->durability_of(bucket.name));
  if (here >= bucket.durability) return {};
  for (const auto& disk : impl_->disks) TARN_CHECK(impl_->note_bucket(*disk, bucket, volume::MemberKind::bucket_created));
  const std::unique_lock lock(impl_->buckets_mutex);
  impl_->buckets.find(bucket.name)->second.durability = bucket.durability;
  return {};
}

Result<void> LocalStore::remove_bucket(std::string_view bucket) {
  const std::unique_lock guard(impl_->bucket_guard);
  TARN_TRY(const auto durability, impl_->durability_of(bucket));
  TARN_TRY(const bool empty, impl_->is_empty(bucket));
  if (!empty) return fail(ErrorCode::busy, "bucket " + std::string(bucket) + " is not empty; remove its objects first");
  if (durability == Durability::sync) {  // no object may come back, and its bucket with it
    for (const auto& disk : impl_->disks) TARN_CHECK(disk->settle());
  }
  const BucketInfo info{std::string(bucket), base::now_ns(), durability};
  for (const auto& disk : impl_->disks) TARN_CHECK(impl_->note_bucket(*disk, info, volume::MemberKind::bucket_removed));
  const std::unique_lock lock(impl_->buckets_mutex);
  impl_->buckets.erase(info.name);
  return {};
}

std::vector<BucketInfo> LocalStore::buckets() const {
  const std::shared_lock lock(impl_->buckets_mutex);
  std::vector<BucketInfo> result;
  for (const auto& [name, info] : impl_->buckets) result.push_back(info);
  return result;
}

bool LocalStore::has_bucket(std::string_view bucket) const {
  return impl_->has_bucket(bucket);
}

Result<ObjectInfo> LocalStore::put(std::uint32_t disk, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options) {
  TARN_TRY(auto* const on, impl_->disk(disk));
  TARN_CHECK(base::check_name(name));
  TARN_CHECK(volume::check_options(options));
  volume::Member member = new_member(name, options);
  const bool solo = bytes.size() >= limits::kSoloObjectBytesMin;
  if (!solo) member.checksum = base::xxh3_128(bytes);
  volume::Receipt receipt;
  std::shared_lock guard(impl_->bucket_guard);
  TARN_TRY(const auto durability, impl_->durability_of(name.bucket));
  auto* const needed = durability == Durability::sync ? &receipt : nullptr;
  TARN_TRY(const auto record, solo ? impl_->put_solo(*on, member, bytes, needed) : on->append(member, bytes, needed));
  guard.unlock();
  TARN_CHECK(on->wait_durable(receipt));
  return volume::object_info(name.key, record);
}

Result<std::unique_ptr<ObjectWriter>> LocalStore::create(std::uint32_t disk, const ObjectName& name, const PutOptions& options,
                                                         std::uint64_t size_hint) {
  TARN_TRY(auto* const on, impl_->disk(disk));
  TARN_CHECK(base::check_name(name));
  TARN_CHECK(volume::check_options(options));
  TARN_CHECK(impl_->need_bucket(name.bucket));
  auto guard = [impl = impl_.get(), bucket = name.bucket](const LocalWriter::LastStep& last_step) -> Result<volume::Record> {
    const std::shared_lock lock(impl->bucket_guard);
    TARN_TRY(const auto durability, impl->durability_of(bucket));
    return last_step(durability);
  };
  return std::make_unique<LocalWriter>(*on, impl_->writer_memory, name, options, size_hint, std::move(guard));
}

Result<void> LocalStore::remove(std::uint32_t disk, const ObjectName& name, const std::optional<Checksum>& version) {
  TARN_TRY(auto* const on, impl_->disk(disk));
  std::unique_lock guard(impl_->bucket_guard, std::defer_lock);
  if (version) guard.lock();  // whoever puts holds it shared: no version comes between the look and the removal
  TARN_TRY(const auto durability, impl_->durability_of(name.bucket));
  const auto record = impl_->find(*on, name);
  if (!record) {
    if (guard) guard.unlock();
    // Somebody else's removal may be under way, or its sync have failed: "it is gone" is a promise as well.
    if (record.error().code == ErrorCode::not_found && durability == Durability::sync) TARN_CHECK(on->settle());
    return fail(record.error());
  }
  if (version && record->checksum != *version)
    return fail(ErrorCode::aborted, full_name(name) + " is another version than the one to be removed; it stays");
  volume::Receipt receipt;
  TARN_CHECK(append_removal(*on, name, durability == Durability::sync ? &receipt : nullptr));
  if (guard) guard.unlock();
  return on->wait_durable(receipt);
}

Result<void> LocalStore::withdraw(std::uint32_t disk, const ObjectName& name) {
  TARN_TRY(auto* const on, impl_->disk(disk));
  TARN_CHECK(impl_->find(*on, name));
  return append_removal(*on, name, nullptr);
}

Result<StoredObject> LocalStore::find(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, impl_->disk(disk));
  TARN_TRY(const auto record, impl_->find(*on, name));
  return to_stored(disk, name.key, record);
}

Result<std::unique_ptr<ObjectReader>> LocalStore::open_reader(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, impl_->disk(disk));
  TARN_TRY(auto opened, impl_->open_version(*on, name));
  return std::make_unique<LocalReader>(*on, name, volume::object_info(name.key, opened.record), opened.record.sequence, std::move(opened.extents));
}

Result<std::unique_ptr<ObjectReader>> LocalStore::reader_of(const ObjectName& name, const StoredObject& version,
                                                            std::vector<FileExtent> extents) const {
  TARN_TRY(const auto* const on, impl_->disk(version.disk));
  return std::make_unique<LocalReader>(*on, name, version.info, version.sequence, std::move(extents));
}

Result<std::vector<std::byte>> LocalStore::get(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, impl_->disk(disk));
  TARN_TRY(auto small, Impl::get_small(*on, name));
  if (small) return std::move(*small);
  TARN_TRY(const auto opened, impl_->open_version(*on, name));
  std::vector<std::byte> bytes(opened.record.size_bytes);
  TARN_CHECK(read_extents(opened.extents, 0, bytes));
  if (base::xxh3_128(bytes) != opened.record.checksum) {
    on->note_damaged(name, opened.record.sequence);
    return fail(ErrorCode::corrupt, full_name(name) + ": its bytes in " +
                                        (opened.extents.empty() ? on->path() : opened.extents.front().file->path()) + " do not match their checksum");
  }
  on->note_verified(opened.record.sequence);
  return bytes;
}

Result<ListPage> LocalStore::list(std::string_view bucket, const ListOptions& options) const {
  TARN_CHECK(impl_->need_bucket(bucket));
  std::vector<ListPage> pages;
  for (const auto& disk : impl_->disks) {
    TARN_TRY(auto page, list_disk(*disk, bucket, options));
    pages.push_back(std::move(page));
  }
  return merge_pages(std::move(pages), options.max_keys);
}

Result<void> LocalStore::for_each(std::string_view bucket, std::string_view prefix, const std::function<bool(const StoredObject&)>& visit) const {
  TARN_CHECK(impl_->need_bucket(bucket));
  const std::string begin = volume::index_key(bucket, prefix);
  for (std::uint32_t i = 0; i < impl_->disks.size(); ++i) {
    std::string from = begin;
    while (!from.empty()) {  // copied out in batches: the visitor may take its time
      std::vector<StoredObject> batch;
      std::string next;
      bool damaged = false;
      TARN_CHECK(impl_->disks[i]->scan(from, [&](std::string_view joined, std::span<const std::byte> value) {
        using volume::ScanStep;
        if (joined.substr(0, begin.size()) != begin) return ScanStep{ScanStep::stop, {}};
        if (batch.size() == kVisitBatch) {
          next = joined;
          return ScanStep{ScanStep::stop, {}};
        }
        const auto record = volume::decode_record(value);
        if (record) batch.push_back(to_stored(i, volume::object_key(joined), *record));
        damaged |= !record;
        return ScanStep{damaged ? ScanStep::stop : ScanStep::next, {}};
      }));
      if (damaged)
        return fail(ErrorCode::corrupt, impl_->disks[i]->path() + ": an entry of the index is damaged; tarn check --rebuild makes it anew");
      for (const auto& object : batch) {
        if (!visit(object)) return {};
      }
      from = std::move(next);
    }
  }
  return {};
}

Result<std::shared_ptr<const base::File>> LocalStore::volume_file(std::uint32_t disk, std::uint64_t volume) const {
  TARN_TRY(const auto* const on, impl_->disk(disk));
  return on->file(volume);
}

std::vector<volume::CompactionStats> LocalStore::compaction() const {
  std::vector<volume::CompactionStats> stats;
  for (const auto& disk : impl_->disks) stats.push_back(disk->compaction());
  return stats;
}

std::vector<volume::VolumePin> LocalStore::pin_volumes() const {
  std::vector<volume::VolumePin> pins;
  for (const auto& disk : impl_->disks) pins.push_back(disk->pin_volumes());
  return pins;
}

Result<void> LocalStore::compact() {
  for (const auto& disk : impl_->disks) TARN_CHECK(disk->compact());
  return {};
}

Result<void> LocalStore::flush() {
  for (const auto& disk : impl_->disks) TARN_CHECK(disk->flush());
  return {};
}

Result<void> LocalStore::close() {
  Result<void> result;
  for (const auto& disk : impl_->disks) {
    auto closed = disk->close();
    if (!closed && result) result = std::move(closed);
  }
  impl_->disks.clear();
  return result;
}

}  // namespace tarn::object
