#include "mpi/dsort_finished.hpp"

#include <algorithm>
#include <cstdint>

#include "base/assert.hpp"
#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "plan/record.hpp"

namespace tarn::mpi {

namespace {

/// Counts changes of what a packer makes of the same tar, and of the id itself.
constexpr std::uint64_t kIdVersion = 1;

}  // namespace

object::BodyId shard_id(const DsortJob& job, const PlannedShard& shard) {
  base::ChecksumStream hash;
  base::Encoder text;
  text.u64(kIdVersion).text(job.output_bucket).text(job.output.name(shard.number)).u8(static_cast<std::uint8_t>(job.output_kind));
  hash.update(text.bytes());
  plan::RecordParts parts;
  for (const auto& run : shard.runs) {
    base::Decoder from(run);
    const plan::RecordHead head = plan::read_record(from, parts);
    TARN_ASSERT(!from.failed());  // it was checked when it arrived
    text = base::Encoder();
    text.text(head.key).varint(head.members).varint(parts.extents.size()).varint(parts.members.size());
    for (const auto& extent : parts.extents) text.varint(extent.length_bytes).u64(extent.hash);
    for (const auto& member : parts.members) text.text(member.name).varint(member.size_bytes).raw(std::as_bytes(std::span(member.checksum)));
    hash.update(text.bytes());
  }
  return hash.digest();
}

Result<FinishedShards> FinishedShards::find(object::LocalStore* store) {
  FinishedShards found;
  if (store == nullptr) return found;
  found.disks_.resize(store->kept().disk_count());
  for (std::uint32_t disk = 0; disk < found.disks_.size(); ++disk) {
    TARN_TRY(found.disks_[disk].kept, store->kept().list(disk));
    TARN_TRY(found.disks_[disk].named, store->kept().named(disk));
  }
  return found;
}

const object::KeptBody* FinishedShards::kept(std::uint32_t disk, const object::BodyId& id) const {
  const auto& bodies = disks_.at(disk).kept;
  const auto at = bodies.find(id);
  return at == bodies.end() ? nullptr : &at->second;
}

std::optional<Checksum> FinishedShards::named(std::uint32_t disk, const object::BodyId& id) const {
  const auto& bodies = disks_.at(disk).named;
  const auto at = bodies.find(id);
  return at == bodies.end() ? std::nullopt : std::optional(at->second);
}

bool FinishedShards::may_be_named(std::uint32_t disk, const Checksum& checksum) const {
  const auto& bodies = disks_.at(disk).named;
  return std::any_of(bodies.begin(), bodies.end(), [&](const auto& body) { return body.second == checksum; });
}

}  // namespace tarn::mpi
