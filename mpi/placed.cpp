#include "mpi/placed.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace tarn::mpi {

using object::CopyTerms;

namespace {

class PlacedWriter final : public ObjectWriter {
 public:
  PlacedWriter(Placed& placed, Target target, ObjectName name, std::unique_ptr<object::CopyWriter> writer)
      : placed_(placed), target_(target), name_(std::move(name)), writer_(std::move(writer)) {}
  Result<void> write(std::span<const std::byte> bytes) override { return writer_->write(bytes); }
  Result<void> prepare() override { return writer_->prepare(); }
  Result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> target) override { return writer_->read_back(offset, target); }
  Result<ObjectInfo> commit() override {
    TARN_TRY(const auto terms, placed_.terms_before(name_));
    TARN_TRY(auto info, writer_->commit_as(terms));
    TARN_CHECK(placed_.after(target_, name_, info.modified_ns));
    return info;
  }

 private:
  Placed& placed_;
  const Target target_;
  const ObjectName name_;
  const std::unique_ptr<object::CopyWriter> writer_;
};

}  // namespace

Result<Home> Placed::target(const ObjectName& name, const PlacementPolicy& policy) const {
  using Kind = PlacementPolicy::Kind;
  if (policy.kind == Kind::hash) return copies_.home(name);
  const RankId rank = policy.kind == Kind::local ? rank_ : policy.rank;
  const auto disk = copies_.placement().disk_of_rank(name.bucket, name.key, rank);
  if (disk) return home_of(map_->disks[*disk]);
  return fail(ErrorCode::invalid, name.bucket + "/" + name.key + ": placement " + to_string(policy) + ", but rank " + std::to_string(rank) +
                                      " has no disk; write it from a rank that has one, or give PutOptions::placement");
}

std::optional<Home> Placed::home_of_disk(const base::Uuid& id) const {
  const auto at =
      std::lower_bound(map_->disks.begin(), map_->disks.end(), id, [](const auto& disk, const base::Uuid& wanted) { return disk.id < wanted; });
  if (at == map_->disks.end() || at->id != id) return std::nullopt;
  return home_of(*at);
}

const placement::Disk& Placed::disk_of(Home home) const {
  return *std::find_if(map_->disks.begin(), map_->disks.end(), [&](const auto& disk) { return home_of(disk) == home; });
}

Result<std::vector<Home>> Placed::readable(const ObjectName& name) {
  const Home home = copies_.home(name);
  TARN_TRY(const auto known, homes_.where(home, name));
  if (!known.pointer && !known.own_ns) return fail(ErrorCode::not_found, "no object named " + name.bucket + "/" + name.key);
  std::vector<Home> places;
  if (known.pointer) {
    const auto target = home_of_disk(known.pointer->disk);
    if (!target && !known.own_ns)
      return fail(ErrorCode::not_found, name.bucket + "/" + name.key + ": lies on disk " + known.pointer->disk.to_string() +
                                            ", which is missing; open the store with all of its directories");
    if (target) places.push_back(*target);
  }
  // A put that began before the first one with a placement may have come home later than the pointer.
  const bool home_first = known.pointer && known.own_ns.value_or(0) > known.pointer->modified_ns;
  places.insert(home_first ? places.begin() : places.end(), home);
  return places;
}

Result<CopyTerms> Placed::terms_before(const ObjectName& name) {
  TARN_TRY(const auto known, homes_.where(copies_.home(name), name));
  return CopyTerms{CopyTerms::Kind::first, known.newest_ns()};
}

Result<void> Placed::after(Target target, const ObjectName& name, std::int64_t modified_ns) {
  const Home home = copies_.home(name);
  std::optional<object::Pointer> previous;
  if (target.home == home && !target.pinned) {
    TARN_TRY(previous, homes_.unpoint(home, name, modified_ns));
  } else {
    TARN_TRY(const auto outcome, homes_.point(home, name, {disk_of(target.home).id, modified_ns}));
    previous = outcome.previous;
    // Somebody has written a later version meanwhile: this one has been replaced as soon as it was there.
    if (!outcome.set) TARN_CHECK(homes_.remove_copy(target.home, name, modified_ns));
  }
  const auto old = previous ? home_of_disk(previous->disk) : std::nullopt;
  if (old && *old != target.home) TARN_CHECK(homes_.remove_copy(*old, name, modified_ns));
  return {};
}

Result<ObjectInfo> Placed::put(Target target, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options) {
  TARN_TRY(const auto terms, terms_before(name));
  TARN_TRY(auto info, homes_.put(target.home, name, bytes, options, terms));
  TARN_CHECK(after(target, name, info.modified_ns));
  return info;
}

Result<std::unique_ptr<ObjectWriter>> Placed::create(Target target, const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) {
  TARN_TRY(auto writer, homes_.create(target.home, name, options, size_hint));
  return std::make_unique<PlacedWriter>(*this, target, name, std::move(writer));
}

Result<void> Placed::forget(const ObjectName& name, std::int64_t not_after_ns) {
  TARN_CHECK(homes_.unpoint(copies_.home(name), name, not_after_ns));
  return {};
}

}  // namespace tarn::mpi
