// bucket_table.hpp - the buckets of one rank: a note on each of its disks, and all of them in memory.
// Level 3 (object). Any thread, once load() is done.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "object/disk_table.hpp"
#include "volume/member.hpp"

namespace tarn::object {

class BucketTable {
 public:
  explicit BucketTable(const DiskTable& disks) : disks_(disks) {}

  /// Whoever adds or removes an object holds it shared, whoever adds or removes a bucket, or changes a certain version, alone: no
  /// object gets into a bucket that goes. Readers do not take it.
  [[nodiscard]] std::shared_mutex& guard() noexcept { return guard_; }

  /// What the disks know. A bucket is known to every disk; one that lacks it (it was added later, or missed the creation) learns it.
  [[nodiscard]] Result<void> load();
  // These take the guard alone. Errors as those of LocalStore's functions of the same names.
  [[nodiscard]] Result<void> create(std::string_view bucket, std::int64_t created_ns, const BucketOptions& options);
  [[nodiscard]] Result<void> adopt(const BucketInfo& bucket);
  [[nodiscard]] Result<void> remove(std::string_view bucket);

  [[nodiscard]] std::vector<BucketInfo> all() const;
  [[nodiscard]] bool has(std::string_view bucket) const;
  /// @errors bucket_not_found.
  [[nodiscard]] Result<BucketOptions> options_of(std::string_view bucket) const;
  [[nodiscard]] Result<Durability> durability_of(std::string_view bucket) const {
    return options_of(bucket).map([](const BucketOptions& options) { return options.durability; });
  }
  [[nodiscard]] Result<void> need(std::string_view bucket) const;

 private:
  enum class Wait : bool { no, as_the_bucket_does };
  [[nodiscard]] static Result<void> note(volume::Disk& on, const BucketInfo& bucket, volume::MemberKind kind, Wait wait = Wait::as_the_bucket_does);
  [[nodiscard]] Result<void> need_empty(std::string_view bucket) const;

  const DiskTable& disks_;
  std::shared_mutex guard_;
  mutable std::shared_mutex mutex_;  // guards buckets_; held for lookups and single changes only
  std::map<std::string, BucketInfo, std::less<>> buckets_;
};

}  // namespace tarn::object
