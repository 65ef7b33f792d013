// appends.hpp - bytes at the end of an object that is there already.
// Level 3 (object). Any thread; appends to one name take turns.
//
//   small object:   [ old ] + new                     -> written anew
//   larger object:  e1 e2 ... ek | tail + new         -> the same extents, and one more that holds what the tail's held, and the new bytes
//
// The tail is as many extents from the end as are no longer than what comes behind them (and 64 MiB in all): so n appends make about
// log n extents and copy each byte about log n times, however small they are. The new extent is a part without an upload
// (upload_keys.hpp) until the object lists it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/hash.hpp"
#include "object/bucket_table.hpp"
#include "object/object_service.hpp"
#include "volume/disk.hpp"

namespace tarn::object {

class Appends {
 public:
  explicit Appends(BucketTable& buckets) : buckets_(buckets) {}

  /// As LocalStore::append; the name and options have been checked.
  [[nodiscard]] Result<ObjectInfo> append(volume::Disk& on, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options);

 private:
  /// What is added to which version.
  struct Addition {
    volume::Disk& on;
    const ObjectName& name;
    const volume::Record& old;
    std::span<const std::byte> bytes;
  };
  using LastStep = std::function<Result<volume::Record>(volume::Receipt*)>;
  [[nodiscard]] Result<ObjectInfo> extend(const Addition& addition);
  [[nodiscard]] Result<volume::Record> write_small(const Addition& addition, ObjectReader& reader, const Checksum& checksum);
  [[nodiscard]] Result<volume::Record> write_extent(const Addition& addition, ObjectReader& reader, const Checksum& checksum);
  [[nodiscard]] Result<volume::Record> write_piece(const Addition& addition, ObjectReader& reader, std::uint64_t from, const ObjectName& name) const;
  [[nodiscard]] Result<volume::Record> commit(volume::Disk& on, const ObjectName& name, std::uint64_t sequence, const LastStep& last_step);

  /// Hashes of objects that were appended to, to go on from.
  struct Hashed {
    const volume::Disk* disk;
    std::uint64_t sequence;
    base::ChecksumStream stream;
  };
  [[nodiscard]] Result<base::ChecksumStream> hash_of(const Addition& addition, ObjectReader& reader);
  void keep(const volume::Disk& on, std::uint64_t sequence, base::ChecksumStream stream);

  BucketTable& buckets_;
  std::array<std::mutex, 16> turns_;  // by name
  std::mutex mutex_;                  // guards hashed_
  std::deque<Hashed> hashed_;         // the newest last
};

}  // namespace tarn::object
