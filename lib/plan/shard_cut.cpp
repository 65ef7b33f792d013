#include "plan/shard_cut.hpp"

namespace tarn::plan {

std::vector<std::uint64_t> shard_slots(const DsortSpec& spec, std::span<const std::uint64_t> tar_bytes, std::uint64_t before) {
  const bool by_bytes = spec.shard_size_bytes != 0;
  const std::uint64_t target = by_bytes ? spec.shard_size_bytes : spec.shard_samples;
  std::vector<std::uint64_t> slots;
  slots.reserve(tar_bytes.size());
  std::uint64_t start = before;
  for (const std::uint64_t bytes : tar_bytes) {
    slots.push_back(start / target);
    start += by_bytes ? bytes : 1;
  }
  return slots;
}

SlotRun slot_run(std::span<const std::uint64_t> slots) noexcept {
  if (slots.empty()) return {};
  SlotRun run{1, slots.front(), slots.back()};
  for (std::size_t i = 1; i < slots.size(); ++i)
    if (slots[i] != slots[i - 1]) ++run.distinct;
  return run;
}

std::uint64_t first_shard(std::span<const SlotRun> runs, std::size_t rank) noexcept {
  std::uint64_t next = 0;         // number of the next new slot
  const SlotRun* last = nullptr;  // the run before
  for (std::size_t i = 0; i <= rank; ++i) {
    const SlotRun& run = runs[i];
    if (run.distinct == 0) continue;
    const bool shared = last != nullptr && last->last == run.first;  // the slot goes on from the rank before
    const std::uint64_t first = shared ? next - 1 : next;
    if (i == rank) return first;
    next = first + run.distinct;
    last = &run;
  }
  return next;
}

std::uint64_t shard_count(std::span<const SlotRun> runs) noexcept {
  for (std::size_t i = runs.size(); i-- > 0;)
    if (runs[i].distinct != 0) return first_shard(runs, i) + runs[i].distinct;
  return 0;
}

}  // namespace tarn::plan
