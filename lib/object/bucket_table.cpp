#include "object/bucket_table.hpp"

#include <algorithm>
#include <mutex>

#include "base/bucket_options.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "object/upload_keys.hpp"

namespace tarn::object {

Result<void> BucketTable::load() {
  std::vector<std::vector<BucketInfo>> known;
  for (const auto& disk : disks_.all) {
    TARN_TRY(auto list, disk->buckets());
    for (const auto& bucket : list) {
      BucketInfo& merged = buckets_.emplace(bucket.name, bucket).first->second;
      merged.options = base::stronger(merged.options, bucket.options);  // a disk that lost its note knows none
    }
    known.push_back(std::move(list));
  }
  for (std::size_t i = 0; i < disks_.all.size(); ++i) {
    for (const auto& named : buckets_) {
      const BucketInfo& bucket = named.second;
      const bool has = std::any_of(known[i].begin(), known[i].end(),
                                   [&b = bucket](const BucketInfo& other) { return other.name == b.name && other.options == b.options; });
      if (!has) TARN_CHECK(note(*disks_.all[i], bucket, volume::MemberKind::bucket_created));
    }
  }
  return {};
}

Result<void> BucketTable::note(volume::Disk& on, const BucketInfo& bucket, volume::MemberKind kind, Wait wait) {
  volume::Member member;
  member.kind = kind;
  member.name.bucket = bucket.name;
  member.modified_ns = bucket.created_ns;
  member.bucket = bucket.options;
  volume::Receipt receipt;
  TARN_CHECK(on.append(member, {}, wait != Wait::no && bucket.options.durability == Durability::sync ? &receipt : nullptr));
  return on.wait_durable(receipt);
}

/// @errors busy.
Result<void> BucketTable::need_empty(std::string_view bucket) const {
  bool empty = true;
  const std::string begin = volume::index_key(bucket, {});
  for (const auto& disk : disks_.all) {
    TARN_CHECK(disk->scan(begin, [&](std::string_view key, std::span<const std::byte>) {
      empty &= key.substr(0, begin.size()) != begin;
      return volume::ScanStep{volume::ScanStep::stop, {}};
    }));
    if (!empty) return fail(ErrorCode::busy, "bucket " + std::string(bucket) + " is not empty; remove its objects first");
    TARN_TRY(const auto uploads, uploads_on(*disk, bucket));
    if (!uploads.empty())
      return fail(ErrorCode::busy, "bucket " + std::string(bucket) + " has an upload that is not complete (of " + uploads.front().name.key +
                                       "); complete or abort it first");
  }
  return {};
}

Result<void> BucketTable::create(std::string_view bucket, std::int64_t created_ns, const BucketOptions& options) {
  TARN_CHECK(base::check_bucket_name(bucket));
  const std::unique_lock guard(guard_);
  if (has(bucket)) return fail(ErrorCode::exists, "bucket " + std::string(bucket) + " exists already");
  const BucketInfo info{std::string(bucket), created_ns, options};
  decltype(buckets_) made{{info.name, info}};  // now: once the disks know of it, there must be memory for it here
  for (std::size_t i = 0; i < disks_.all.size(); ++i) {
    auto noted = note(*disks_.all[i], info, volume::MemberKind::bucket_created);
    if (noted) continue;
    // Else open() would complete it. On the last disk too: it may be the sync of its note that failed.
    for (std::size_t k = 0; k <= i; ++k) (void)note(*disks_.all[k], info, volume::MemberKind::bucket_removed, Wait::no);
    return noted;
  }
  const std::unique_lock lock(mutex_);
  buckets_.merge(made);
  return {};
}

Result<void> BucketTable::adopt(const BucketInfo& bucket) {
  if (!has(bucket.name)) return create(bucket.name, bucket.created_ns, bucket.options);
  const std::unique_lock guard(guard_);
  TARN_TRY(const auto here, options_of(bucket.name));
  const BucketInfo wanted{bucket.name, bucket.created_ns, base::stronger(here, bucket.options)};
  if (here == wanted.options) return {};
  for (const auto& disk : disks_.all) {
    TARN_CHECK(note(*disk, wanted, volume::MemberKind::bucket_created));
    if (here.durability < wanted.options.durability)
      TARN_CHECK(disk->flush());  // what it holds already counts from now on as what is put into it later
  }
  const std::unique_lock lock(mutex_);
  buckets_.find(bucket.name)->second.options = wanted.options;
  return {};
}

Result<void> BucketTable::remove(std::string_view bucket) {
  const std::unique_lock guard(guard_);
  TARN_TRY(const auto options, options_of(bucket));
  TARN_CHECK(need_empty(bucket));
  if (options.durability == Durability::sync) {  // no object may come back, and its bucket with it
    for (const auto& disk : disks_.all) TARN_CHECK(disk->settle());
  }
  const BucketInfo info{std::string(bucket), base::now_ns(), options};
  for (const auto& disk : disks_.all) TARN_CHECK(note(*disk, info, volume::MemberKind::bucket_removed));
  const std::unique_lock lock(mutex_);
  buckets_.erase(info.name);
  return {};
}

std::vector<BucketInfo> BucketTable::all() const {
  const std::shared_lock lock(mutex_);
  std::vector<BucketInfo> result;
  for (const auto& [name, info] : buckets_) result.push_back(info);
  return result;
}

bool BucketTable::has(std::string_view bucket) const {
  const std::shared_lock lock(mutex_);
  return buckets_.find(bucket) != buckets_.end();
}

Result<BucketOptions> BucketTable::options_of(std::string_view bucket) const {
  const std::shared_lock lock(mutex_);
  if (const auto at = buckets_.find(bucket); at != buckets_.end()) return at->second.options;
  return fail(ErrorCode::bucket_not_found, "no bucket named " + std::string(bucket));
}

Result<void> BucketTable::need(std::string_view bucket) const {
  TARN_CHECK(options_of(bucket));
  return {};
}

}  // namespace tarn::object
