// settle_world.hpp - a store of all ranks with objects that can be brought out of their places again and again, on disks that can fail.
// Collective, as everything in tests/mpi: all ranks make the same calls.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.hpp"
#include "faults/fault_file_system.hpp"
#include "mpi/calling_thread.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/open_when.hpp"
#include "mpi/settle.hpp"
#include "mpi/store_impl.hpp"
#include "spared_collectives.hpp"

namespace tarn::tests {

/// The values of all ranks, waited for with the store at work.
inline std::vector<std::uint64_t> all_values(Store& store, std::uint64_t mine) {
  std::vector<std::uint64_t> all(static_cast<std::size_t>(world_size()));
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallgather(&mine, 1, MPI_UINT64_T, all.data(), 1, MPI_UINT64_T, MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
    store.progress();
    std::this_thread::sleep_for(std::chrono::microseconds(50));  // the others need the cores
  }
  return all;
}

/// "" or the error with its rank; the same on all ranks, or the test fails.
template <class T>
std::string common_outcome(Store& store, const Result<T>& outcome) {
  const std::string text = outcome ? std::string() : failure(outcome) + " [rank " + std::to_string(outcome.error().rank) + "]";
  const std::uint64_t hash = base::xxh3_64(text);
  INFO("rank " << world_rank() << ": " << text);
  for (const std::uint64_t theirs : all_values(store, hash)) CHECK(theirs == hash);
  return text;
}

/// Two disks a rank; buckets "data" (one copy), "safe" (mirrored where there are two ranks) and "near" (placement local).
class SettleWorld {
 public:
  static constexpr int kObjects = 18;

  SettleWorld() : store(open()) {
    if (world_rank() == 0) {
      REQUIRE(failure(store.create_bucket("data")) == "");
      REQUIRE(failure(store.create_bucket("safe", {Durability::none, mirror(), {}, {}})) == "");
      REQUIRE(failure(store.create_bucket("near", {Durability::none, 1, {PlacementPolicy::Kind::local, -1}, {}})) == "");
    }
    meet(store);
    for_own([&](int i) {
      const auto info = store.put(name_of(i), body_of(i));
      REQUIRE(failure(info) == "");
    });
    meet(store);
  }
  ~SettleWorld() { plan.end(); }
  SettleWorld(const SettleWorld&) = delete;
  SettleWorld& operator=(const SettleWorld&) = delete;

  static unsigned mirror() { return static_cast<unsigned>(std::min(2, world_size())); }
  static ObjectName name_of(int i) {
    static constexpr const char* kBuckets[] = {"data", "safe", "near"};
    return {kBuckets[i % 3], "dir/" + std::to_string(i)};
  }
  static std::vector<std::byte> body_of(int i) {
    const std::size_t sizes[] = {1'200'000, 700, 70'000, 30};
    return test_bytes(sizes[i % 4], static_cast<std::uint64_t>(i));
  }

  [[nodiscard]] mpi::SettleContext context(mpi::Collectives& collectives) { return impl().settle_context(collectives); }
  [[nodiscard]] mpi::Collectives& collectives() { return impl().collectives(); }

  /// Objects lie where they do not belong, lack a copy, or a pointer. Nothing fails meanwhile.
  void disturb() {
    const mpi::ApplicationCall call;
    auto parts = context(collectives());
    for_own([&](int i) {
      const ObjectName name = name_of(i);
      const auto found = survey(parts, name);
      REQUIRE_FALSE(found.empty());
      const auto bring = [&](mpi::Home to) {
        const bool there = std::any_of(found.begin(), found.end(), [&](const auto& copy) { return copy.home == to; });
        if (!there) REQUIRE(failure(parts.homes.copy(found.front().home, to, name, object::CopyTerms::Kind::copy)) == "");
      };
      const auto take = [&](mpi::Home from) { REQUIRE(failure(parts.homes.remove_copy(from, name, INT64_MAX)) == ""); };
      const mpi::Home home = parts.copies.home(name);
      const mpi::Home elsewhere{(home.rank + 1) % world_size(), 1 - home.disk};
      if (name.bucket == "near") {  // the pointer is lost, or where the home was before
        const auto pointer = parts.homes.unpoint(home, name, INT64_MAX);
        REQUIRE(failure(pointer) == "");
        if (*pointer && i % 2 == 0) REQUIRE(failure(parts.homes.point(elsewhere, name, **pointer)) == "");
      } else if (name.bucket == "safe" && mirror() > 1) {
        const auto holders = parts.copies.holders(name, mirror());
        const mpi::Home third{holders[0].rank, 1 - holders[0].disk};
        if (i % 2 == 0) {
          bring(third);
          take(holders[0]);
        } else {
          bring(holders[0]);
        }
        take(holders[1]);
      } else {
        bring(elsewhere);
        take(home);
      }
    });
    meet(store);
  }

  /// Whatever has been moved where: each object is there in one good copy at least.
  void check_nothing_lost() {
    const mpi::ApplicationCall call;
    auto parts = context(collectives());
    for_own([&](int i) {
      bool good = false;
      for (const auto& copy : survey(parts, name_of(i))) {
        const auto got = parts.homes.get(copy.home, name_of(i));
        good |= got && *got == body_of(i);
      }
      INFO("object " << i);
      CHECK(good);
    });
    meet(store);
  }

  /// All in their places, and no copy too many.
  void check_settled() {
    CHECK(store.settled());
    for (int i = 0; i < kObjects; ++i) {
      INFO("object " << i << " on rank " << world_rank());
      const auto got = store.get(name_of(i));
      REQUIRE(failure(got) == "");
      CHECK((*got == body_of(i)));
    }
    CHECK(store.stats().value().objects == kObjects / 3 * (2 + mirror()));
    meet(store);
  }

  /// After a fault: a disk that could not sync says so once more when it is closed.
  void reopen() {
    static_cast<void>(store.close());
    store = open();
  }

 private:
  [[nodiscard]] Store::Impl& impl() { return *StoreAccess::impl(store); }
  [[nodiscard]] Store open() {
    auto options = test_options(directory);
    options.directories.push_back(directory.path() + "/second-{rank}");
    auto opened = mpi::open_when({}, MPI_COMM_WORLD, options, files);
    REQUIRE(failure(opened) == "");
    return std::move(*opened);
  }
  template <class Step>
  static void for_own(Step step) {
    for (int i = 0; i < kObjects; ++i)
      if (i / 3 % world_size() == world_rank()) step(i);  // some of each bucket
  }
  static std::vector<mpi::FoundCopy> survey(mpi::SettleContext& parts, const ObjectName& name) {
    auto found = parts.copies.survey(parts.copies.storage_ranks(), name);
    REQUIRE(failure(found) == "");
    return std::move(*found);
  }

 public:
  SharedDirectory directory;
  FaultPlan plan;  // of this rank's disks
  FaultFileSystem files{plan};
  Store store;
};

}  // namespace tarn::tests
