// placement_scale.cpp - placement in a large store, without one: balance, what moves, what a lookup and the map cost.
//
//   placement_scale [--disks N=10000] [--per-node N=8] [--keys N=1000000] [--seed N=1]
//
// Keys are placed and not stored. Half of the time goes into balance, half into moves, for which a fifth of the keys is enough.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "placement/map_json.hpp"
#include "support/placement_simulation.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

struct Options {
  std::size_t disks = 10'000, per_node = 8, keys = 1'000'000;
  std::uint64_t seed = 1;
};

using Weight = std::function<std::uint64_t(std::size_t)>;

/// Of this thread's own time: others on the machine do not count.
double seconds_of(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double begin = now();
  work();
  return now() - begin;
}

void lookups(const Options& options, const char* name, const Weight& weight) {
  for (const std::size_t disks : {std::size_t{8}, std::size_t{64}, std::size_t{512}, std::size_t{4096}, options.disks}) {
    const placement::Placement placement(simulated_map(disks, options.per_node, options.seed, weight));
    const Keys keys(std::max<std::size_t>(10'000'000 / disks, 1000), options.seed);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < keys.size(); ++i) names.push_back(keys.at(i));
    std::size_t sum = 0;
    const double home = seconds_of([&] {
      for (const std::string& key : names) sum += placement.home_disk("bucket", key);
    });
    const std::size_t few = names.size() / 10;
    const double three = seconds_of([&] {
      for (std::size_t i = 0; i < few; ++i) sum += placement.ranking("bucket", names[i], 3).back();
    });
    std::printf("| %-9s | %6zu | %10.0f | %8.2f | %10.0f | %8.2f |%s\n", name, disks, static_cast<double>(names.size()) / home,
                home * 1e6 / static_cast<double>(names.size()), static_cast<double>(few) / three, three * 1e6 / static_cast<double>(few),
                sum == 1 ? " " : "");
  }
}

void print(const char* what, const Moves& moves, std::size_t keys) {
  std::printf("| %-42s | %8.4f %% | %8.4f %% | %5.1f | %8zu | %7.1f | %7.1f |\n", what,
              100.0 * static_cast<double>(moves.moved) / static_cast<double>(keys), 100 * moves.expected / static_cast<double>(keys),
              moves.deviations, moves.needless, moves.receiver_mean, moves.receiver_max);
}

void simulate(const Options& options, const char* name, const Weight& weight) {
  const auto map = simulated_map(options.disks, options.per_node, options.seed, weight);
  const Keys all(options.keys, options.seed);
  const Balance balance = balance_of(map, all.homes(map));
  std::printf(
      "\n%s weights: %zu keys on %zu disks, %.0f each: the farthest disk is %.2f standard deviations from its share, the fullest has %.3f of it; chi "
      "square %.2f\n",
      name, options.keys, options.disks, static_cast<double>(options.keys) / static_cast<double>(options.disks), balance.deviations_max,
      balance.fill_max, balance.chi_deviations);

  const Keys some(options.keys / 5, options.seed);
  const auto homes = some.homes(map);
  const std::size_t hundredth = std::max<std::size_t>(options.disks / 100, 1);
  const auto moves_to = [&](const placement::StoreMap& after) { return moves_between(map, homes, after, some.homes(after)); };
  std::printf("| %-42s | moved      | expected   | sigma | needless | mean    | max     |\n", "change (mean, max: keys that a disk takes)");
  print("a hundredth more disks", moves_to(simulated_map(options.disks + hundredth, options.per_node, options.seed, weight)), some.size());
  std::vector<bool> gone(options.disks);
  for (std::size_t i = 0; i < hundredth; ++i) gone[i * 100] = true;
  print("a hundredth of the disks is taken away", moves_to(without(map, gone)), some.size());
  gone.assign(options.disks, false);
  for (std::size_t i = 0; i < options.per_node; ++i) gone[i] = true;
  print("a node is lost", moves_to(without(map, gone)), some.size());
}

/// Why copies have to look at nodes: how often the first two disks of a key lie on one.
void copies(const Options& options) {
  const auto map = simulated_map(options.disks, options.per_node, options.seed, [](std::size_t) { return 1; });
  const placement::Placement placement(map);
  const Keys keys(std::min<std::size_t>(options.keys / 20, 50'000), options.seed);
  std::size_t together = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto both = placement.ranking("bucket", keys.at(i), 2);
    together += both[0] / options.per_node == both[1] / options.per_node ? 1 : 0;
  }
  std::printf("\nfirst two disks of a key on one node: %zu of %zu keys (%.4f %%; by chance %.4f %%)\n", together, keys.size(),
              100.0 * static_cast<double>(together) / static_cast<double>(keys.size()),
              100.0 * static_cast<double>(options.per_node - 1) / static_cast<double>(options.disks - 1));
}

void map_size(const Options& options) {
  const std::size_t before = ::mallinfo2().uordblks;
  const auto map = simulated_map(options.disks, options.per_node, options.seed, [](std::size_t) { return 1ULL << 40; });
  const std::size_t bytes = ::mallinfo2().uordblks - before;
  std::string json;
  const double write = seconds_of([&] { json = base::pretty_json(placement::map_to_json(map)); });
  const double read = seconds_of([&] { (void)base::parse_json(json, "the map"); });
  std::printf("\nthe map of %zu disks and ranks: %.2f MB of memory, %.2f MB as JSON, written in %.1f ms, parsed in %.1f ms\n", options.disks,
              static_cast<double>(bytes) / 1e6, static_cast<double>(json.size()) / 1e6, write * 1e3, read * 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--disks") options.disks = value;
    if (option == "--per-node") options.per_node = value;
    if (option == "--keys") options.keys = value;
    if (option == "--seed") options.seed = value;
  }
  if (options.disks < 200 || options.keys < options.disks) {
    std::fprintf(stderr, "placement_scale: at least 200 disks, and as many keys as disks\n");
    return 2;
  }
  const Weight equal = [](std::size_t) { return 1'000'000'000'000; };
  const Weight unequal = [](std::size_t i) { return 960'197'124'096ULL << (i % 3); };
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf("seed %llu, one thread:\n| weights   | disks  | homes/s    | us       | three/s    | us       |\n",
              static_cast<unsigned long long>(options.seed));
  lookups(options, "equal", equal);
  lookups(options, "1, 2, 4", unequal);
  map_size(options);
  simulate(options, "equal", equal);
  simulate(options, "1, 2, 4", unequal);
  copies(options);
  return 0;
}
