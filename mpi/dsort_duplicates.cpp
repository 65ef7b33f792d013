#include "mpi/dsort_duplicates.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <tuple>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "mpi/dsort_exchange.hpp"
#include "plan/record.hpp"

namespace tarn::mpi {

namespace {

/// A record of this rank that has to go, and the source of the one that stays.
struct Loser {
  std::size_t index = 0;
  std::uint64_t winner_source = 0;
};

/// Equal keys are neighbours.
std::vector<Loser> find_adjacent(const plan::RecordTable& table) {
  std::vector<Loser> losers;
  plan::RecordHead winner;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const plan::RecordHead head = table.head(i);
    if (i > 0 && head.key == winner.key)
      losers.push_back({i, winner.source});
    else
      winner = head;
  }
  return losers;
}

/// A key's hash and where its sample stands: (rank, index) is the global order.
struct Sighting {
  Checksum key_hash{};
  std::size_t rank = 0;
  std::uint64_t index = 0;
  std::uint64_t source = 0;

  friend bool operator<(const Sighting& a, const Sighting& b) {
    return std::tie(a.key_hash, a.rank, a.index) < std::tie(b.key_hash, b.rank, b.index);
  }
};

/// Equal keys may be anywhere: their hashes meet on one rank, which tells the losers' ranks.
Result<std::vector<Loser>> find_scattered(DsortJob& job, const plan::RecordTable& table) {
  base::Encoder item;
  const auto outgoing = [&](std::size_t i) {
    const plan::RecordHead head = table.head(i);
    const Checksum hash = base::xxh3_128(std::as_bytes(std::span(head.key.data(), head.key.size())));
    item = base::Encoder();
    item.raw(std::as_bytes(std::span(hash))).varint(i).u64(head.source);
    return OutgoingItem{static_cast<std::size_t>(hash[0] << 8 | hash[1]) % job.ranks(), item.bytes()};
  };
  std::vector<Sighting> sightings;
  TARN_CHECK(exchange_in_rounds(job.collectives(), table.size(), outgoing, [&](std::size_t rank, std::vector<std::byte> bytes) -> Result<void> {
    base::Decoder from(bytes);
    while (!from.rest().empty()) {
      Sighting sighting;
      const auto hash = from.raw(sighting.key_hash.size());
      std::transform(hash.begin(), hash.end(), sighting.key_hash.begin(), [](std::byte b) { return static_cast<std::uint8_t>(b); });
      sighting.rank = rank;
      sighting.index = from.varint();
      sighting.source = from.u64();
      if (from.failed()) return fail(ErrorCode::internal, "dsort: a key's hash is cut off");
      sightings.push_back(sighting);
    }
    return {};
  }));
  std::sort(sightings.begin(), sightings.end());
  std::vector<std::pair<Sighting, std::uint64_t>> found;  // loser, source of its winner
  for (std::size_t i = 1, winner = 0; i < sightings.size(); ++i) {
    if (sightings[i].key_hash == sightings[winner].key_hash)
      found.emplace_back(sightings[i], sightings[winner].source);
    else
      winner = i;
  }
  sightings = {};
  const auto verdict = [&](std::size_t i) {
    item = base::Encoder();
    item.varint(found[i].first.index).u64(found[i].second);
    return OutgoingItem{found[i].first.rank, item.bytes()};
  };
  std::vector<Loser> losers;
  TARN_CHECK(exchange_in_rounds(job.collectives(), found.size(), verdict, [&](std::size_t, std::vector<std::byte> bytes) -> Result<void> {
    base::Decoder from(bytes);
    while (!from.rest().empty()) {
      const std::uint64_t index = from.varint();
      losers.push_back({index, from.u64()});
      if (from.failed() || index >= table.size()) return fail(ErrorCode::internal, "dsort: the list of duplicates is cut off");
    }
    return {};
  }));
  std::sort(losers.begin(), losers.end(), [](const Loser& a, const Loser& b) { return a.index < b.index; });
  return losers;
}

std::string describe(const std::vector<DsortSource>& sources, std::uint64_t source) {
  return source < sources.size() ? "shard '" + sources[source].name + "'" : "loose objects";
}

std::string describe(const plan::RecordTable& table, const Loser& loser, const std::vector<DsortSource>& sources) {
  const plan::RecordHead head = table.head(loser.index);
  const bool same = head.source == loser.winner_source;
  return "sample '" + std::string(head.key.substr(0, 300)) + "' is " + (same ? "twice in " : "in ") + describe(sources, loser.winner_source) +
         (same ? "" : " and in " + describe(sources, head.source));
}

/// The lowest rank's example, on every rank.
Result<std::string> common_example(DsortJob& job, const std::string& mine) {
  TARN_TRY(const auto all, job.collectives().all_gather(std::as_bytes(std::span(mine.data(), mine.size()))));
  for (const auto& bytes : all)
    if (!bytes.empty()) return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return std::string();
}

}  // namespace

Result<void> remove_duplicates(DsortJob& job, plan::RecordTable& table, const std::vector<DsortSource>& sources) {
  std::vector<Loser> losers;
  if (plan::SampleOrder(job.spec).keys_stay_together()) {
    losers = find_adjacent(table);
  } else {
    TARN_TRY(losers, find_scattered(job, table));
  }
  std::array<std::uint64_t, 1> count{losers.size()};
  TARN_CHECK(job.collectives().all_reduce_sum(count));
  job.report.duplicate_samples = count[0];
  if (count[0] == 0) return {};
  TARN_TRY(const std::string example, common_example(job, losers.empty() ? std::string() : describe(table, losers[0], sources)));
  if (job.spec.duplicates == DuplicatePolicy::abort)
    return fail(ErrorCode::invalid, "dsort: " + std::to_string(count[0]) + " samples have the key of another one: " + example +
                                        "; rename them, or choose the policy warn or ignore to keep only the first");
  if (job.spec.duplicates == DuplicatePolicy::warn)
    job.report.warnings.push_back(std::to_string(count[0]) + " samples were left out because another one has their key: " + example);
  std::vector<std::size_t> indices;
  indices.reserve(losers.size());
  for (const Loser& loser : losers) indices.push_back(loser.index);
  table.remove(indices);
  return {};
}

}  // namespace tarn::mpi
