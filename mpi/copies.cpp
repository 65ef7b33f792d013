#include "mpi/copies.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.hpp"

namespace tarn::mpi {

namespace {

/// Versions in order; two of one time are told apart by their bytes.
auto version_of(const FoundCopy& copy) {
  return std::tie(copy.stored.info.modified_ns, copy.stored.info.checksum);
}

std::vector<FoundCopy> only_newest(std::vector<FoundCopy> all) {
  const auto newest = std::max_element(all.begin(), all.end(), [](const auto& a, const auto& b) { return version_of(a) < version_of(b); });
  const FoundCopy top = *newest;
  std::erase_if(all, [&](const FoundCopy& copy) { return version_of(copy) != version_of(top); });
  return all;
}

}  // namespace

Copies::Copies(std::shared_ptr<const placement::StoreMap> map, RankId rank, object::LocalStore* local, Homes& homes, const Layout& layout)
    : map_(std::move(map)), rank_(rank), local_(local), homes_(homes), layout_(layout), placement_(*map_) {
  for (const auto& disk : map_->disks) storage_ranks_.push_back(disk.rank);
  std::sort(storage_ranks_.begin(), storage_ranks_.end());
  storage_ranks_.erase(std::unique(storage_ranks_.begin(), storage_ranks_.end()), storage_ranks_.end());
}

Home Copies::home(const ObjectName& name) const {
  return home_of(map_->disks[placement_.home_disk(name.bucket, name.key)]);
}

std::vector<Home> Copies::holders(const ObjectName& name, unsigned mirror) const {
  std::vector<Home> homes;
  for (const std::size_t disk : placement_.holders(name.bucket, name.key, mirror)) homes.push_back(home_of(map_->disks[disk]));
  return homes;
}

void Copies::sort_by_distance(std::vector<Home>& homes) const {
  std::stable_sort(homes.begin(), homes.end(), [&](Home a, Home b) { return homes_.distance(a) < homes_.distance(b); });
}

std::vector<RankId> Copies::ranks_in_order(const ObjectName& name) const {
  std::vector<RankId> ranks;
  std::set<RankId> seen;
  for (const std::size_t disk : placement_.ranking(name.bucket, name.key, map_->disks.size()))
    if (seen.insert(map_->disks[disk].rank).second) ranks.push_back(map_->disks[disk].rank);
  return ranks;
}

Result<std::vector<Home>> Copies::readable(const ObjectName& name, unsigned mirror, Ask ask) {
  std::vector<Home> homes;
  if (layout_.settled()) {
    homes = holders(name, mirror);
  } else {
    TARN_TRY(const auto found, newest(name, mirror, ask));
    for (const auto& copy : found) homes.push_back(copy.home);
  }
  sort_by_distance(homes);
  return homes;
}

Result<std::vector<FoundCopy>> Copies::survey(const std::vector<RankId>& ranks, const ObjectName& name) {
  Caller& caller = homes_.client().caller();
  std::vector<std::shared_ptr<Call>> calls;
  for (const RankId rank : ranks) {
    if (rank == rank_) continue;
    base::Encoder message = begin_message();
    encode(message, name);
    calls.push_back(caller.start(rank, Op::survey, std::move(message)));
  }
  std::vector<FoundCopy> all;
  Result<void> outcome;
  for (const auto& call : calls) {
    auto ended = caller.finish(*call);
    if (ended) {
      base::Decoder decoder(call->body());
      for (auto& stored : decode_all_stored(decoder)) all.push_back({{call->rank(), stored.disk}, std::move(stored)});
      if (!decoder.complete()) ended = fail(malformed("an object's description"));
    }
    if (!ended && outcome) outcome = std::move(ended);
  }
  if (local_ != nullptr && std::find(ranks.begin(), ranks.end(), rank_) != ranks.end()) {
    auto here = local_->find_all(name);
    if (here)
      for (auto& stored : *here) all.push_back({{rank_, stored.disk}, std::move(stored)});
    else if (outcome)
      outcome = fail(here.error());
  }
  if (!outcome) return fail(outcome.error());  // what it has may be the newest
  return all;
}

Result<std::vector<FoundCopy>> Copies::newest(const ObjectName& name, unsigned mirror, Ask ask) {
  const bool all = layout_.stale() || ask == Ask::all;
  std::vector<RankId> rest = all ? storage_ranks_ : ranks_in_order(name);
  std::vector<RankId> asked;
  if (all) {
    asked.swap(rest);
  } else {
    for (const Home home : holders(name, mirror))
      if (std::erase(rest, home.rank) > 0) asked.push_back(home.rank);
  }
  for (std::size_t step = 1; !asked.empty(); step *= 2) {
    TARN_TRY(auto found, survey(asked, name));
    if (!found.empty()) return only_newest(std::move(found));
    const std::size_t next = std::min(step, rest.size());
    asked.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(next));
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(next));
  }
  // A rebalance, or a put of a placed object, may have taken it from one that was asked later to one that was asked before.
  std::vector<RankId> again;
  if (all)
    again = storage_ranks_;
  else
    for (const Home home : holders(name, mirror)) again.push_back(home.rank);
  TARN_TRY(auto found, survey(again, name));
  if (!found.empty()) return only_newest(std::move(found));
  return fail(ErrorCode::not_found, "no object named " + name.bucket + "/" + name.key);
}

}  // namespace tarn::mpi
