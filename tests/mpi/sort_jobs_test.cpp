// sort_jobs_test.cpp - sorts that are started from outside, when a rank is slow to hear of them.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "base/json.hpp"
#include "mpi/comm.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/store_impl.hpp"

using namespace tarn;
using namespace tarn::tests;

TEST_CASE("SortJobs: a rank that hears of a sort too late joins it; later sorts and close() go on", "[sorts]") {
  int level = 0;
  MPI_Query_thread(&level);
  if (world_size() < 3 || level == MPI_THREAD_MULTIPLE) return;  // with a service thread a computing rank answers
  SharedDirectory directory;
  auto options = test_options(directory);
  options.request_timeout = std::chrono::milliseconds(1500);
  const mpi::ApplicationCall call;
  Store::Impl::Comms comms;
  comms.peers = mpi::Comm::duplicate(MPI_COMM_WORLD).value();
  comms.application = mpi::Comm::duplicate(MPI_COMM_WORLD).value();
  comms.jobs = mpi::Comm::duplicate(MPI_COMM_WORLD).value();
  auto impl = std::make_unique<Store::Impl>(std::move(comms), options, false);
  REQUIRE(failure(impl->open()) == "");
  const base::Json spec =
      base::parse_json(R"({"input_bck": "missing", "output_format": "out-%06d.tar", "output_shard_samples": 10})", "spec").value();

  const std::string flag = directory.path() + "/too-late";
  if (world_rank() == 0) {
    CHECK(code_of(impl->store().start_sort(spec)) == "timeout");
    std::ofstream(flag) << "x";
  }
  if (world_rank() == 1) {  // computes, without a call, until rank 0 has given up
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!std::filesystem::exists(flag) && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");
  if (world_rank() == 0) {
    const auto id = impl->store().start_sort(spec);
    REQUIRE(failure(id) == "");
    std::string state = "running";
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (state == "running" && std::chrono::steady_clock::now() < limit) {
      impl->engine().drive();
      state = base::json_string(impl->store().sort_status(*id).value(), "state").value_or("?");
    }
    CHECK(state == "failed");  // there is no such bucket
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");
  REQUIRE(failure(impl->close()) == "");
}
