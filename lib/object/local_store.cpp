#include "object/local_store.hpp"

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "object/appends.hpp"
#include "object/bucket_table.hpp"
#include "object/disk_table.hpp"
#include "object/listing.hpp"
#include "object/reader.hpp"
#include "object/writer.hpp"
#include "volume/disk.hpp"
#include "volume/file_cache.hpp"

namespace tarn::object {

namespace {

constexpr std::size_t kVisitBatch = 1000;  // records copied out of one index snapshot
constexpr int kOpenAttempts = 8;           // lookups of a name that is being overwritten as we open it

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

}  // namespace

std::string volume_path(std::string_view directory, std::uint64_t volume) {
  return volume::volume_file_path(directory, volume);
}

class LocalStore::Impl {
 public:
  DiskTable disks;
  BucketTable buckets{disks};
  const std::shared_ptr<WriterMemory> writer_memory = std::make_shared<WriterMemory>();  // writers may outlive the store
  Uploads uploads{disks, buckets, writer_memory};
  Appends appends{buckets};
  NameLocks versions;
  Pointers pointers{disks, buckets, versions};
  Staging staging{disks, writer_memory};
  KeptBodies kept{disks};

  [[nodiscard]] Result<volume::Record> find(const volume::Disk& on, const ObjectName& name) const;

  /// The last step of a write, with the bucket held in place: as LocalWriter::Guard.
  [[nodiscard]] Result<volume::Record> last_step(volume::Disk& on, const ObjectName& name, const CopyTerms& terms, const LocalWriter::LastStep& step);

  /// A small object in one piece, verified: what nearly every get is. @return nullopt: anything else, get() tells what. @errors io, busy.
  [[nodiscard]] static Result<std::optional<std::vector<std::byte>>> get_small(const volume::Disk& on, const ObjectName& name);
  /// A record with its files open, of one version.
  struct Opened {
    volume::Record record;
    std::vector<FileExtent> extents;
  };
  [[nodiscard]] Result<Opened> open_version(const volume::Disk& on, const ObjectName& name) const;
};

Result<volume::Record> LocalStore::Impl::find(const volume::Disk& on, const ObjectName& name) const {
  TARN_TRY(auto record, on.find(name.bucket, name.key));
  if (record) return std::move(*record);
  TARN_CHECK(buckets.need(name.bucket));
  return fail(ErrorCode::not_found, "no object named " + full_name(name));
}

Result<volume::Record> LocalStore::Impl::last_step(volume::Disk& on, const ObjectName& name, const CopyTerms& terms,
                                                   const LocalWriter::LastStep& step) {
  using Kind = CopyTerms::Kind;
  std::shared_lock guard(buckets.guard());
  TARN_TRY(const auto durability, buckets.durability_of(name.bucket));
  if (terms.kind == Kind::alone) return step(durability, base::now_ns());
  auto lock = versions.hold(name);
  TARN_TRY(auto current, on.find(name.bucket, name.key));
  if (terms.kind == Kind::first) return step(durability, std::max({base::now_ns(), terms.modified_ns + 1, current ? current->modified_ns + 1 : 0}));
  if (terms.kind == Kind::mend) {  // what has been removed or replaced since needs no mending
    if (!current) return fail(ErrorCode::not_found, full_name(name) + ": has been removed meanwhile");
    if (current->modified_ns == terms.modified_ns) return step(durability, terms.modified_ns);
  }
  if (!current || current->modified_ns < terms.modified_ns) return step(durability, terms.modified_ns);
  lock.unlock();
  guard.unlock();
  if (durability == Durability::sync) TARN_CHECK(on.settle());  // whoever wrote it may still wait for its sync
  return std::move(*current);
}

Result<LocalStore::Impl::Opened> LocalStore::Impl::open_version(const volume::Disk& on, const ObjectName& name) const {
  // Between lookup and open an overwrite can remove the volume of the old version: then there is a newer one.
  Error last;
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    TARN_TRY(auto record, find(on, name));
    auto extents = open_extents(on, record);
    if (extents && on_demand(*extents)) {  // held, but not open: is it what was looked up?
      TARN_TRY(const auto now, find(on, name));
      if (now.sequence != record.sequence) continue;
    }
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

LocalStore::LocalStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

LocalStore::~LocalStore() {
  if (const auto closed = close(); !closed) base::log_error(closed.error().message);
}

Result<std::unique_ptr<LocalStore>> LocalStore::open(const LocalStoreOptions& options, base::FileSystem& fs) {
  if (options.directories.empty()) return fail(ErrorCode::invalid, "a store needs at least one directory");
  auto impl = std::make_unique<Impl>();
  for (const auto& directory : options.directories) {
    TARN_TRY(auto disk, volume::Disk::open(fs, directory,
                                           {options.weight, true, false, false, options.volume_bytes_max, options.compaction, {}, options.space}));
    for (const auto& other : impl->disks.all) {
      if (other->identity().id == disk->identity().id)
        return fail(ErrorCode::invalid, disk->path() + ": is a copy of " + other->path() + " (same disk id); give only one of them");
      const auto &mine = disk->identity().store_id, &theirs = other->identity().store_id;
      if (!mine.is_nil() && !theirs.is_nil() && mine != theirs)
        return fail(ErrorCode::invalid,
                    disk->path() + ": belongs to store " + mine.to_string() + ", but " + other->path() + " to store " + theirs.to_string());
    }
    impl->disks.all.push_back(std::move(disk));
  }
  TARN_CHECK(impl->buckets.load());
  impl->uploads.remove_orphans();
  impl->staging.remove({});
  return std::unique_ptr<LocalStore>(new LocalStore(std::move(impl)));
}

Result<void> LocalStore::adopt(const base::Uuid& store_id, const volume::DiskSet& store_disks) {
  for (const auto& disk : impl_->disks.all) TARN_CHECK(disk->set_store(store_id, store_disks));
  return {};
}

volume::DiskSet LocalStore::known_disks() const {
  volume::DiskSet all;
  for (const auto& disk : impl_->disks.all) all = volume::merged(std::move(all), disk->identity().store_disks);
  return all;
}

std::vector<volume::DiskLayout> LocalStore::layouts() const {
  std::vector<volume::DiskLayout> all;
  for (const auto& disk : impl_->disks.all) all.push_back(disk->identity().layout);
  return all;
}

Result<void> LocalStore::set_layout(std::uint32_t disk, const volume::DiskLayout& layout) {
  TARN_TRY(auto* const on, impl_->disks.at(disk));
  return on->set_layout(layout);
}

std::vector<LocalDisk> LocalStore::disks() const {
  std::vector<LocalDisk> result;
  for (const auto& disk : impl_->disks.all) {
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
  return impl_->buckets.create(bucket, created_ns, options);
}

Result<void> LocalStore::adopt_bucket(const BucketInfo& bucket) {
  return impl_->buckets.adopt(bucket);
}

Result<void> LocalStore::remove_bucket(std::string_view bucket) {
  return impl_->buckets.remove(bucket);
}

std::vector<BucketInfo> LocalStore::buckets() const {
  return impl_->buckets.all();
}

bool LocalStore::has_bucket(std::string_view bucket) const {
  return impl_->buckets.has(bucket);
}

Result<BucketOptions> LocalStore::bucket_options(std::string_view bucket) const {
  return impl_->buckets.options_of(bucket);
}

Result<ObjectInfo> LocalStore::put(std::uint32_t disk, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options,
                                   const CopyTerms& terms) {
  TARN_TRY(auto* const on, impl_->disks.at(disk));
  TARN_CHECK(base::check_name(name));
  TARN_CHECK(volume::check_options(options));
  volume::Member member = new_member(name, options);
  const bool solo = bytes.size() >= limits::kSoloObjectBytesMin;
  if (!solo) member.checksum = base::xxh3_128(bytes);
  volume::Receipt receipt;
  TARN_TRY(const auto record, impl_->last_step(*on, name, terms, [&](Durability durability, std::int64_t modified_ns) {
    member.modified_ns = modified_ns;
    auto* const needed = durability == Durability::sync ? &receipt : nullptr;
    return solo ? put_solo(*on, member, bytes, needed) : on->append(member, bytes, needed);
  }));
  TARN_CHECK(on->wait_durable(receipt));
  return volume::object_info(name.key, record);
}

Result<std::unique_ptr<KeepingWriter>> LocalStore::create(std::uint32_t disk, const ObjectName& name, const PutOptions& options,
                                                          std::uint64_t size_hint) {
  TARN_TRY(auto* const on, impl_->disks.at(disk));
  TARN_CHECK(base::check_name(name));
  TARN_CHECK(volume::check_options(options));
  TARN_CHECK(impl_->buckets.need(name.bucket));
  auto guard = [impl = impl_.get(), on, name](const CopyTerms& terms, const LocalWriter::LastStep& step) {
    return impl->last_step(*on, name, terms, step);
  };
  return std::make_unique<LocalWriter>(*on, impl_->writer_memory, name, options, size_hint, std::move(guard));
}

Result<ObjectInfo> LocalStore::append(std::uint32_t disk, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options) {
  TARN_TRY(auto* const on, impl_->disks.at(disk));
  TARN_CHECK(base::check_name(name));
  TARN_CHECK(volume::check_options(options));
  return impl_->appends.append(*on, name, bytes, options);
}

Pointers& LocalStore::pointers() noexcept {
  return impl_->pointers;
}

Staging& LocalStore::staging() noexcept {
  return impl_->staging;
}

KeptBodies& LocalStore::kept() noexcept {
  return impl_->kept;
}

Uploads& LocalStore::uploads() noexcept {
  return impl_->uploads;
}

Result<void> LocalStore::remove(std::uint32_t disk, const ObjectName& name, const std::optional<Checksum>& version) {
  TARN_TRY(auto* const on, impl_->disks.at(disk));
  // Whoever changes a certain version holds it alone: no other change comes between the look and the change.
  std::unique_lock alone(impl_->buckets.guard(), std::defer_lock);
  std::shared_lock shared(impl_->buckets.guard(), std::defer_lock);
  version ? alone.lock() : shared.lock();
  const auto let_go = [&] { version ? alone.unlock() : shared.unlock(); };
  TARN_TRY(const auto durability, impl_->buckets.durability_of(name.bucket));
  const auto record = impl_->find(*on, name);
  if (!record) {
    let_go();
    // Somebody else's removal may be under way, or its sync have failed: "it is gone" is a promise as well.
    if (record.error().code == ErrorCode::not_found && durability == Durability::sync) TARN_CHECK(on->settle());
    return fail(record.error());
  }
  if (version && record->checksum != *version)
    return fail(ErrorCode::aborted, full_name(name) + " is another version than the one to be removed; it stays");
  volume::Receipt receipt;
  TARN_CHECK(append_removal(*on, name, durability == Durability::sync ? &receipt : nullptr));
  let_go();
  return on->wait_durable(receipt);
}

Result<bool> LocalStore::remove_copy(std::uint32_t disk, const ObjectName& name, std::int64_t not_after_ns) {
  TARN_TRY(auto* const on, impl_->disks.at(disk));
  volume::Receipt receipt;
  bool gone = false;
  std::shared_lock guard(impl_->buckets.guard());
  TARN_TRY(const auto durability, impl_->buckets.durability_of(name.bucket));
  {
    const auto lock = impl_->versions.hold(name);  // as the puts of copies do
    TARN_TRY(const auto record, on->find(name.bucket, name.key));
    if (record && impl_->versions.is_held(name)) return fail(ErrorCode::busy, full_name(name) + ": is being copied to another disk; try again");
    gone = !record.has_value();
    if (record && record->modified_ns > not_after_ns) return false;
    if (record) TARN_CHECK(append_removal(*on, name, durability == Durability::sync ? &receipt : nullptr));
  }
  guard.unlock();
  if (gone && durability == Durability::sync) TARN_CHECK(on->settle());  // "it is gone" is a promise as well
  TARN_CHECK(on->wait_durable(receipt));
  return !gone;
}

NameLocks::Hold LocalStore::hold_name(const ObjectName& name) {
  return impl_->versions.hold_for_copy(name);
}

Result<void> LocalStore::withdraw(std::uint32_t disk, const ObjectName& name) {
  TARN_TRY(auto* const on, impl_->disks.at(disk));
  const std::shared_lock guard(impl_->buckets.guard());
  TARN_CHECK(impl_->find(*on, name));
  return append_removal(*on, name, nullptr);
}

void LocalStore::count_changes(volume::ChangeCounter& counter) noexcept {
  for (const auto& disk : impl_->disks.all) disk->count_changes(counter);
}

Result<StoredObject> LocalStore::find(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, impl_->disks.at(disk));
  TARN_TRY(const auto record, impl_->find(*on, name));
  return to_stored(disk, name.key, record);
}

Result<std::vector<StoredObject>> LocalStore::find_all(const ObjectName& name) const {
  TARN_CHECK(impl_->buckets.need(name.bucket));
  std::vector<StoredObject> all;
  for (std::uint32_t i = 0; i < impl_->disks.all.size(); ++i) {
    TARN_TRY(const auto record, impl_->disks.all[i]->find(name.bucket, name.key));
    if (record) all.push_back(to_stored(i, name.key, *record));
  }
  return all;
}

Result<std::unique_ptr<ObjectReader>> LocalStore::open_reader(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, impl_->disks.at(disk));
  TARN_TRY(auto opened, impl_->open_version(*on, name));
  return std::make_unique<LocalReader>(*on, name, volume::object_info(name.key, opened.record), opened.record.sequence, std::move(opened.extents));
}

Result<OpenVersion> LocalStore::open_version(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, impl_->disks.at(disk));
  TARN_TRY(auto opened, impl_->open_version(*on, name));
  return OpenVersion{to_stored(disk, name.key, opened.record), std::move(opened.extents)};
}

Result<std::unique_ptr<ObjectReader>> LocalStore::reader_of(const ObjectName& name, const StoredObject& version,
                                                            std::vector<FileExtent> extents) const {
  TARN_TRY(const auto* const on, impl_->disks.at(version.disk));
  return std::make_unique<LocalReader>(*on, name, version.info, version.sequence, std::move(extents));
}

Result<std::vector<std::byte>> LocalStore::get(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, impl_->disks.at(disk));
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
  TARN_CHECK(impl_->buckets.need(bucket));
  std::vector<ListPage> pages;
  for (const auto& disk : impl_->disks.all) {
    TARN_TRY(auto page, list_disk(*disk, bucket, options));
    pages.push_back(std::move(page));
  }
  return merge_pages(std::move(pages), options.max_keys);
}

Result<void> LocalStore::for_each(std::string_view bucket, std::string_view prefix, const std::function<bool(const StoredObject&)>& visit) const {
  TARN_CHECK(impl_->buckets.need(bucket));
  const std::string begin = volume::index_key(bucket, prefix);
  for (std::uint32_t i = 0; i < impl_->disks.all.size(); ++i) {
    std::string from = begin;
    while (!from.empty()) {  // copied out in batches: the visitor may take its time
      std::vector<StoredObject> batch;
      std::string next;
      bool damaged = false;
      TARN_CHECK(impl_->disks.all[i]->scan(from, [&](std::string_view joined, std::span<const std::byte> value) {
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
        return fail(ErrorCode::corrupt, impl_->disks.all[i]->path() + ": an entry of the index is damaged; tarn check --rebuild makes it anew");
      for (const auto& object : batch) {
        if (!visit(object)) return {};
      }
      from = std::move(next);
    }
  }
  return {};
}

Result<std::shared_ptr<const base::File>> LocalStore::volume_file(std::uint32_t disk, std::uint64_t volume) const {
  TARN_TRY(const auto* const on, impl_->disks.at(disk));
  return on->file(volume);
}

std::vector<volume::CompactionStats> LocalStore::compaction() const {
  std::vector<volume::CompactionStats> stats;
  for (const auto& disk : impl_->disks.all) stats.push_back(disk->compaction());
  return stats;
}

std::vector<volume::VolumePin> LocalStore::pin_volumes() const {
  std::vector<volume::VolumePin> pins;
  for (const auto& disk : impl_->disks.all) pins.push_back(disk->pin_volumes());
  return pins;
}

Result<void> LocalStore::compact() {
  for (const auto& disk : impl_->disks.all) TARN_CHECK(disk->compact());
  return {};
}

Result<void> LocalStore::flush() {
  for (const auto& disk : impl_->disks.all) TARN_CHECK(disk->flush());
  return {};
}

Result<void> LocalStore::close() {
  Result<void> result;
  for (const auto& disk : impl_->disks.all) {
    auto closed = disk->close();
    if (!closed && result) result = std::move(closed);
  }
  impl_->disks.all.clear();
  return result;
}

}  // namespace tarn::object
