// status.cpp - `tarn status`: ranks, nodes, disks, fill, objects, buckets and health of a running store.
// Level 7 (tools).
#include <cstdio>
#include <iostream>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "http/stats_json.hpp"
#include "mpi/tools/bucket_text.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/remote.hpp"
#include "placement/map_json.hpp"

namespace tarn::tools {

namespace {

struct StoreState {
  std::shared_ptr<const placement::StoreMap> map;
  StoreStats stats;
  Result<std::vector<BucketInfo>> buckets;  ///< a store that is not healthy may fail to say
  std::vector<std::string> troubles;        ///< by rank; empty: healthy
  std::size_t unhealthy = 0;
};

/// Asks every rank how it is, several at a time: one that is lost costs its timeout once.
Result<StoreState> examine(http::Client& client) {
  StoreState state;
  TARN_TRY(state.map, client.map());
  TARN_TRY(state.stats, client.stats());
  state.buckets = client.buckets();
  state.troubles.resize(state.map->ranks.size());
  TARN_CHECK(run_parallel(state.map->ranks.size(), kJobsDefault, [&](std::size_t i) -> Result<void> {
    const std::string& url = state.map->ranks[i].url;
    if (url.empty()) return {};
    if (const auto health = client.fetch_text(url, "/-/health"); !health) state.troubles[i] = health.error().message;
    return {};
  }));
  for (const std::string& trouble : state.troubles) state.unhealthy += trouble.empty() ? 0 : 1;
  return state;
}

void print_json(const StoreState& state) {
  base::JsonObject json = http::stats_to_json(state.stats);
  json["map"] = placement::map_to_json(*state.map);
  json["healthy"] = state.unhealthy == 0;
  base::JsonArray troubles;
  for (std::size_t i = 0; i < state.troubles.size(); ++i)
    if (!state.troubles[i].empty()) troubles.push_back(base::JsonObject{{"rank", i}, {"trouble", state.troubles[i]}});
  json["troubles"] = std::move(troubles);
  if (state.buckets) {
    base::JsonArray buckets;
    for (const BucketInfo& bucket : *state.buckets) buckets.push_back(bucket_to_json(bucket));
    json["buckets"] = std::move(buckets);
  }
  std::cout << base::pretty_json(json);
}

std::string garbage_of(const StoreStats& stats, const placement::Disk& disk) {
  const auto rank = static_cast<std::size_t>(disk.rank);
  if (rank >= stats.per_rank.size() || disk.index >= stats.per_rank[rank].per_disk.size()) return {};
  const auto& counts = stats.per_rank[rank].per_disk[disk.index];
  return ", garbage " + base::format_size(counts.garbage_bytes) + ", compaction has moved " + base::format_size(counts.moved_bytes) +
         " and removed " + base::format_size(counts.returned_bytes);
}

void print_buckets(const Result<std::vector<BucketInfo>>& buckets) {
  if (!buckets) {
    std::cout << "buckets: " << buckets.error().message << "\n";
    return;
  }
  for (const BucketInfo& bucket : *buckets) std::cout << "bucket " << describe_bucket(bucket) << "\n";
}

void print_table(const StoreState& state) {
  const StoreStats& stats = state.stats;
  const auto count = [](std::uint64_t n, const char* thing) { return std::to_string(n) + " " + thing + (n == 1 ? "" : "s"); };
  std::cout << "store " << state.map->store_id.to_string() << ", map epoch " << state.map->epoch << "\n"
            << count(static_cast<std::uint64_t>(stats.ranks), "rank") << " on " << count(static_cast<std::uint64_t>(stats.nodes), "node") << ", "
            << count(state.map->disks.size(), "disk") << ": " << base::format_size(stats.disk_capacity_bytes) << ", "
            << base::format_size(stats.disk_free_bytes) << " free\n"
            << count(stats.objects, "object") << ", " << base::format_size(stats.object_bytes) << "\n";
  if (!stats.settled)
    std::cout << "not settled: disks have come or gone; `tarn rebalance` puts everything in its place\n"
              << count(stats.under_replicated, "object") << " with too few copies"
              << "\n";
  if (!stats.running_work.empty()) std::cout << "running: " << stats.running_work << "\n";
  std::cout << "\n"
            << "rank  objects       bytes       free        disks  health  address\n";
  for (const auto& rank : stats.per_rank) {
    const auto index = static_cast<std::size_t>(rank.rank);
    const bool healthy = index >= state.troubles.size() || state.troubles[index].empty();
    char columns[160];
    std::snprintf(columns, sizeof columns, "%4d  %-12llu  %-10s  %-10s  %5llu  %-6s  ", rank.rank, static_cast<unsigned long long>(rank.objects),
                  base::format_size(rank.object_bytes).c_str(), base::format_size(rank.disk_free_bytes).c_str(),
                  static_cast<unsigned long long>(rank.disks), healthy ? "ok" : "ILL");
    std::cout << columns << (rank.url.empty() ? "-" : rank.url) << " (" << rank.node << ")\n";
  }
  std::cout << "\n";
  for (const auto& disk : state.map->disks)
    std::cout << "disk " << disk.id.to_string() << " of rank " << disk.rank << ": " << disk.directory << ", weight " << base::format_size(disk.weight)
              << garbage_of(stats, disk) << "\n";
  print_buckets(state.buckets);
  for (std::size_t i = 0; i < state.troubles.size(); ++i)
    if (!state.troubles[i].empty()) std::cout << "trouble on rank " << i << ": " << state.troubles[i] << "\n";
}

}  // namespace

Result<int> run_status(const Arguments& arguments) {
  bool json = false;
  std::string endpoint_file;
  CommandLine line("status [--json]",
                   "Shows ranks, nodes, disks, fill, objects, buckets, missing copies, running work and health of a store. Exit code 69 when a rank "
                   "is not healthy.",
                   "tarn status\n"
                   "tarn status --json | jq .objects\n"
                   "tarn status --json | jq '.buckets[] | select(.durability == \"sync\")'");
  line.options().add_options()("json", po::bool_switch(&json), "as one JSON object");
  add_endpoint_option(line, endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 0, 0));
  if (!go_on) return 0;
  TARN_TRY(const auto client, connect(endpoint_file));
  TARN_TRY(const StoreState state, examine(*client));
  if (json)
    print_json(state);
  else
    print_table(state);
  if (state.unhealthy > 0) return fail(ErrorCode::rank_lost, std::to_string(state.unhealthy) + " ranks are not healthy");
  return 0;
}

}  // namespace tarn::tools
