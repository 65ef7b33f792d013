#include "mpi/layout.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/codec.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"
#include "mpi/guarded.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

namespace {

using volume::DiskLayout;

std::uint64_t hash_of_disks(const placement::StoreMap& map) {
  std::string text;
  for (const auto& disk : map.disks) text += disk.id.to_string();  // the map has them by id
  return base::xxh3_64(text);
}

/// Of which disks share a rank and a node, whatever their numbers and names are.
std::uint64_t hash_of_places(const placement::StoreMap& map) {
  std::map<RankId, std::size_t> ranks;
  std::map<std::string_view, std::size_t> nodes;
  base::Encoder places;
  for (const auto& disk : map.disks) {
    places.u64(ranks.emplace(disk.rank, ranks.size()).first->second);
    places.u64(nodes.emplace(map.ranks[static_cast<std::size_t>(disk.rank)].node, nodes.size()).first->second);
  }
  return base::xxh3_64(places.bytes());
}

void encode_layout(base::Encoder& encoder, const DiskLayout& layout) {
  encoder.u64(layout.epoch).u64(layout.disks).u64(layout.places).u8(layout.settled ? 1 : 0).u8(layout.stale ? 1 : 0);
}

DiskLayout decode_layout(base::Decoder& decoder) {
  DiskLayout layout;
  layout.epoch = decoder.u64();
  layout.disks = decoder.u64();
  layout.places = decoder.u64();
  layout.settled = decoder.u8() != 0;
  layout.stale = decoder.u8() != 0;
  return layout;
}

Result<std::vector<DiskLayout>> exchange(Collectives& collectives, const object::LocalStore* local) {
  base::Encoder mine;
  if (local != nullptr)
    for (const auto& layout : local->layouts()) encode_layout(mine, layout);
  TARN_TRY(const auto gathered, collectives.all_gather(mine.bytes()));
  std::vector<DiskLayout> all;
  for (const auto& bytes : gathered) {
    base::Decoder decoder(bytes);
    while (!decoder.failed() && !decoder.rest().empty()) all.push_back(decode_layout(decoder));
    if (decoder.failed()) return fail(malformed("a disk's layout"));
  }
  return all;
}

}  // namespace

Result<void> Layout::find_out(Collectives& collectives, object::LocalStore* local, const placement::StoreMap& map, bool any_mirror) {
  TARN_TRY(const auto all, exchange(collectives, local));
  const auto every = [&](const auto& is) { return std::all_of(all.begin(), all.end(), is); };
  std::uint64_t newest = 0;
  for (const auto& disk : all) newest = std::max(newest, disk.epoch);
  const std::uint64_t disks = hash_of_disks(map), places = hash_of_places(map);
  const bool fresh = newest == 0;  // all are new: nothing can lie in a wrong place
  const bool same = every([&](const DiskLayout& disk) { return disk.epoch == newest && disk.disks == disks; });
  const bool same_places = every([&](const DiskLayout& disk) { return disk.places == places; });
  // Two sets of disks that were used apart: neither knows what the other has written since.
  std::optional<std::uint64_t> of_newest;
  apart_ = false;
  for (const auto& disk : all) {
    if (disk.epoch != newest || fresh) continue;
    apart_ |= of_newest && *of_newest != disk.disks;
    of_newest = disk.disks;
  }
  layout_ = {fresh || !same ? newest + 1 : newest, disks, places, fresh, false};
  if (!fresh) layout_.settled = same && (same_places || !any_mirror) && every([](const DiskLayout& disk) { return disk.settled; });
  settled_.store(layout_.settled);
  stale_.store(apart_ || !every([&](const DiskLayout& disk) { return !disk.stale && (disk.epoch == 0 || disk.epoch == newest); }));
  auto noted = guarded("open", [&]() -> Result<void> {
    note(local, newest);
    return {};
  });
  if (!layout_.settled && collectives.rank() == 0)
    base::log_warn(
        "the disks of this store have changed since everything was put in its place: objects are looked for where they may be, which takes "
        "longer; `tarn rebalance` (Store::rebalance) moves what has to move, and gives mirrored objects back the copies they have lost");
  return collectives.agree(std::move(noted));
}

void Layout::note(object::LocalStore* local, std::uint64_t newest_epoch) {
  if (local == nullptr) return;
  const auto old = local->layouts();
  for (std::uint32_t i = 0; i < old.size(); ++i) {
    DiskLayout layout = layout_;
    layout.stale = !layout.settled && (apart_ || old[i].stale || (old[i].epoch != 0 && old[i].epoch != newest_epoch));
    // It can still be read; the next open() finds it behind the others, and compares.
    if (const auto noted = local->set_layout(i, layout); !noted) base::log_warn(noted.error().message);
  }
}

Result<void> Layout::set_settled(Collectives& collectives, object::LocalStore* local) {
  Result<void> outcome;
  layout_.settled = true;
  for (std::uint32_t i = 0; local != nullptr && outcome && i < local->layouts().size(); ++i) outcome = local->set_layout(i, layout_);
  TARN_CHECK(collectives.agree(std::move(outcome)));
  settled_.store(true);
  stale_.store(false);
  return {};
}

}  // namespace tarn::mpi
