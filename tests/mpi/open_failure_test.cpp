// open_failure_test.cpp - open, flush and close when a disk of one rank fails: the same outcome on every rank, and the next open is well.
#include <cerrno>
#include <string>
#include <vector>

#include "faults/fault_file_system.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/open_when.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// The text of all ranks' outcome; the test fails where they differ.
std::string common_outcome(const Result<void>& outcome) {
  std::string mine = outcome ? std::string() : failure(outcome) + " [rank " + std::to_string(outcome.error().rank) + "]";
  mine.resize(1000);
  std::vector<char> all(mine.size() * static_cast<std::size_t>(world_size()));
  MPI_Allgather(mine.data(), 1000, MPI_CHAR, all.data(), 1000, MPI_CHAR, MPI_COMM_WORLD);
  for (int rank = 0; rank < world_size(); ++rank) CHECK(mine == std::string(all.data() + 1000 * rank, 1000));
  return mine.c_str();
}

template <class T>
Result<void> without_value(const Result<T>& result) {
  return result ? Result<void>() : Result<void>(fail(result.error()));
}

/// Of one rank, whether it is this one or not.
bool met_on(int rank, FaultPlan& plan) {
  int met = plan.met().empty() ? 0 : 1;
  MPI_Bcast(&met, 1, MPI_INT, rank, MPI_COMM_WORLD);
  return met != 0;
}

}  // namespace

TEST_CASE("open: a disk of any rank that fails from any of its calls on is everybody's error, and the next open is well", "[open][disks]") {
  if (world_size() != 3) return;  // the calls are the same wherever
  SharedDirectory directory;
  FaultPlan plan;
  FaultFileSystem files(plan);
  const ObjectName name{"data", "kept"};
  for (const bool fresh : {true, false}) {
    for (int failing = 0; failing < world_size(); ++failing) {
      int failures = 0;
      bool met = true;
      for (std::uint64_t at = 0; met; at += 1 + at) {
        INFO((fresh ? "new disks" : "old disks") << ", rank " << failing << ", call " << at);
        auto options = test_options(directory);
        if (fresh) options.directories = {directory.path() + "/new-" + std::to_string(failing) + "-" + std::to_string(at) + "-{rank}"};
        if (world_rank() == failing) plan.begin({at, true, fresh ? ENOSPC : EIO});
        {
          auto opened = mpi::open_when({}, MPI_COMM_WORLD, options, files);
          plan.end();
          met = met_on(failing, plan);
          const std::string outcome = common_outcome(without_value(opened));
          if (opened) REQUIRE(failure(opened->close()) == "");
          if (!opened) {
            ++failures;
            CHECK(opened.error().rank == failing);
            CHECK(opened.error().code == (fresh ? ErrorCode::no_space : ErrorCode::io));
          }
        }
        Store store = open_store(options);
        if (world_rank() == 0) {
          if (store.buckets().value().empty()) REQUIRE(failure(store.create_bucket("data")) == "");
          if (!store.head(name)) REQUIRE(failure(store.put(name, test_bytes(100'000, 1))) == "");
        }
        meet(store);
        CHECK((store.get(name).value() == test_bytes(100'000, 1)));
        meet(store);
        REQUIRE(failure(store.close()) == "");
      }
      CHECK(failures > 3);
    }
  }
}

TEST_CASE("flush, close: a disk of any rank that cannot sync is everybody's error, and what was acknowledged is there", "[open][disks]") {
  if (world_size() > 4) return;
  SharedDirectory directory;
  for (int failing = 0; failing < world_size(); ++failing) {
    INFO("rank " << failing);
    FaultPlan plan;
    FaultFileSystem files(plan);
    std::string key;
    {
      auto opened = mpi::open_when({}, MPI_COMM_WORLD, test_options(directory), files);
      REQUIRE(failure(opened) == "");
      Store store = std::move(*opened);
      if (world_rank() == 0 && store.buckets().value().empty()) REQUIRE(failure(store.create_bucket("data")) == "");
      meet(store);
      key = key_on(store, "data", "k" + std::to_string(failing), failing);
      if (world_rank() == 0) REQUIRE(failure(store.put({"data", key}, test_bytes(50'000, 1))) == "");
      meet(store);
      if (world_rank() == failing) plan.begin({0, true, EIO});
      const auto flushed = store.flush();
      CHECK_THAT(common_outcome(flushed), Catch::StartsWith("io: ") && Catch::EndsWith("[rank " + std::to_string(failing) + "]"));
      const auto closed = store.close();
      plan.end();
      static_cast<void>(common_outcome(closed));
    }
    Store store = open_store(test_options(directory));
    CHECK((store.get({"data", key}).value() == test_bytes(50'000, 1)));
    meet(store);
    REQUIRE(failure(store.flush()) == "");
    REQUIRE(failure(store.close()) == "");
  }
}
