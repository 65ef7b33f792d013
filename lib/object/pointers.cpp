#include "object/pointers.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "object/reader.hpp"
#include "object/writer.hpp"

namespace tarn::object {

namespace {

constexpr std::size_t kPointerBytes = 24;
constexpr int kAttempts = 8;
constexpr std::size_t kBatch = 1000;

ObjectName pointer_name(const ObjectName& name) {
  return {std::string(kPointersBucket), name.bucket + "/" + name.key};
}

std::optional<ObjectName> object_of_pointer(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  return ObjectName{std::string(key.substr(0, slash)), std::string(key.substr(slash + 1))};
}

Result<Pointer> read_pointer(const volume::Disk& disk, const ObjectName& name, const volume::Record& record) {
  std::array<std::byte, kPointerBytes> bytes;
  TARN_TRY(const auto extents, open_extents(disk, record));
  if (record.size_bytes == bytes.size()) TARN_CHECK(read_extents(extents, 0, bytes));
  if (record.size_bytes != bytes.size() || base::xxh3_128(bytes) != record.checksum)
    return fail(ErrorCode::corrupt, disk.path() + ": the note of where " + name.bucket + "/" + name.key +
                                        " lies is damaged; `tarn rebalance` finds the object and writes it anew");
  Pointer pointer;
  std::transform(bytes.begin(), bytes.begin() + 16, pointer.disk.bytes.begin(), [](std::byte b) { return static_cast<std::uint8_t>(b); });
  pointer.modified_ns = base::Decoder(std::span(bytes).subspan(16)).i64();
  return pointer;
}

Result<std::optional<Pointer>> find_on(const volume::Disk& disk, const ObjectName& name) {
  const ObjectName at = pointer_name(name);
  for (int attempt = 0;; ++attempt) {
    TARN_TRY(const auto record, disk.find(at.bucket, at.key));
    if (!record) return std::optional<Pointer>();
    auto pointer = read_pointer(disk, name, *record);
    // Its volume has gone since: then there is a newer note.
    if (!pointer && pointer.error().code == ErrorCode::not_found && attempt < kAttempts) continue;
    return pointer.map([](const Pointer& found) { return std::optional(found); });
  }
}

}  // namespace

Result<Whereabouts> Pointers::find(std::uint32_t disk, const ObjectName& name) const {
  TARN_TRY(const auto* const on, disks_.at(disk));
  Whereabouts known;
  TARN_TRY(known.pointer, find_on(*on, name));
  TARN_TRY(const auto own, on->find(name.bucket, name.key));
  if (own) known.own_ns = own->modified_ns;
  return known;
}

Result<Pointers::Outcome> Pointers::set(std::uint32_t disk, const ObjectName& name, const Pointer& pointer) {
  TARN_TRY(auto* const on, disks_.at(disk));
  base::Encoder bytes;
  bytes.raw(std::as_bytes(std::span(pointer.disk.bytes))).i64(pointer.modified_ns);
  volume::Member note = new_member(pointer_name(name), {});
  note.checksum = base::xxh3_128(bytes.bytes());
  volume::Receipt receipt, removal;
  Outcome outcome;
  {
    const std::shared_lock guard(buckets_.guard());
    TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
    const bool sync = durability == Durability::sync;
    const auto lock = versions_.hold(name);
    TARN_TRY(const auto own, on->find(name.bucket, name.key));
    // Of the same time: a rebalance has brought this version home before it was pointed to.
    const bool elsewhere = pointer.disk != on->identity().id;
    if (own && elsewhere && own->modified_ns >= pointer.modified_ns) return outcome;
    auto previous = find_on(*on, name);
    if (previous && *previous && (*previous)->modified_ns > pointer.modified_ns) return outcome;
    if (previous && *previous && (*previous)->disk != pointer.disk) outcome.previous = **previous;
    TARN_CHECK(on->append(note, bytes.bytes(), sync ? &receipt : nullptr));
    if (own && elsewhere) TARN_CHECK(append_removal(*on, name, sync ? &removal : nullptr));
    outcome.set = true;
  }
  TARN_CHECK(on->wait_durable(receipt));
  TARN_CHECK(on->wait_durable(removal));
  return outcome;
}

Result<std::optional<Pointer>> Pointers::take(std::uint32_t disk, const ObjectName& name, std::int64_t not_after_ns) {
  TARN_TRY(auto* const on, disks_.at(disk));
  volume::Receipt receipt;
  std::optional<Pointer> taken;
  {
    const std::shared_lock guard(buckets_.guard());
    TARN_TRY(const auto durability, buckets_.durability_of(name.bucket));
    const auto lock = versions_.hold(name);
    TARN_TRY(taken, find_on(*on, name));
    if (!taken || taken->modified_ns > not_after_ns) return std::optional<Pointer>();
    TARN_CHECK(append_removal(*on, pointer_name(name), durability == Durability::sync ? &receipt : nullptr));
  }
  TARN_CHECK(on->wait_durable(receipt));
  return taken;
}

Result<void> Pointers::for_each(std::uint32_t disk, const std::function<Result<void>(const ObjectName&, const Pointer&)>& visit) const {
  TARN_TRY(auto* const on, disks_.at(disk));
  const std::string begin = volume::index_key(kPointersBucket, {});
  std::string from = begin;
  while (!from.empty()) {  // copied out in batches: the visitor may take its time, and change what is visited
    std::vector<ObjectName> batch;
    std::string next;
    TARN_CHECK(on->scan(from, [&](std::string_view joined, std::span<const std::byte> value) {
      if (joined.substr(0, begin.size()) != begin) return volume::ScanStep{volume::ScanStep::stop, {}};
      if (batch.size() == kBatch) {
        next = joined;
        return volume::ScanStep{volume::ScanStep::stop, {}};
      }
      const auto name = object_of_pointer(volume::object_key(joined));
      if (name && !volume::is_removal(value)) batch.push_back(*name);
      return volume::ScanStep{};
    }));
    for (const auto& name : batch) {
      const auto pointer = find_on(*on, name);
      if (pointer && *pointer) TARN_CHECK(visit(name, **pointer));
      if (!pointer && pointer.error().code != ErrorCode::corrupt) return fail(pointer.error());
    }
    from = std::move(next);
  }
  return {};
}

}  // namespace tarn::object
