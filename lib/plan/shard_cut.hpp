// shard_cut.hpp - which output shard a sample goes to, from prefix sums over all samples in order.
// Level 4 (plan). Pure.
//
// A sample that starts at byte (or sample) s of the whole output belongs to slot floor(s / target). Slots that
// nothing starts in, because a sample is larger than the target, get no number: shard numbers are dense.
//
//   target 10      |sample of 4|3|   25    |2|...
//   starts at       0           4 7         32 34        slots 0 0 0 3 3     shards 0 0 0 1 1
//
// Every rank has a run of the samples; their slots depend only on the sums before the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tarn/dsort.hpp>

namespace tarn::plan {

/// The slots of one rank's run of samples: non-decreasing.
/// @param before  bytes (samples, when the spec counts those) of all lower ranks.
[[nodiscard]] std::vector<std::uint64_t> shard_slots(const DsortSpec& spec, std::span<const std::uint64_t> tar_bytes, std::uint64_t before);

/// What the other ranks need to know of a rank's slots.
struct SlotRun {
  std::uint64_t distinct = 0;  ///< 0: the rank has no samples
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
[[nodiscard]] SlotRun slot_run(std::span<const std::uint64_t> slots) noexcept;
/// The shard number of `rank`'s first slot. @param runs of all ranks, in the order of their samples.
[[nodiscard]] std::uint64_t first_shard(std::span<const SlotRun> runs, std::size_t rank) noexcept;
/// How many shards there are.
[[nodiscard]] std::uint64_t shard_count(std::span<const SlotRun> runs) noexcept;

}  // namespace tarn::plan
