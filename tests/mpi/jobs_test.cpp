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

namespace {

std::unique_ptr<Store::Impl> open_impl(const StoreOptions& options, bool service_thread) {
  auto impl = Store::Impl::open(MPI_COMM_WORLD, options, service_thread ? mpi::ThreadLevel::any : mpi::ThreadLevel::one_at_a_time);
  REQUIRE(failure(impl) == "");
  return std::move(*impl);
}

base::Json spec_of(const std::string& input, const std::string& output) {
  return base::parse_json(
             R"({"input_bck": ")" + input + R"(", "output_bck": ")" + output + R"(", "output_format": "out-%06d.tar", "output_shard_samples": 10})",
             "spec")
      .value();
}

/// The last status of a sort, asked for as the sidecar does.
base::Json wait_for_end(Store::Impl& impl, const std::string& id) {
  object::ObjectService& service = impl.store();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (;;) {
    impl.engine().drive();
    const auto status = service.job_status(id);
    REQUIRE(failure(status) == "");
    if (base::json_string(*status, "state") != "running" || std::chrono::steady_clock::now() > limit) return *status;
  }
}

}  // namespace

TEST_CASE("Jobs: any rank starts, watches and aborts a sort of all ranks", "[sorts]") {
  int level = 0;
  MPI_Query_thread(&level);
  SharedDirectory directory;
  const mpi::ApplicationCall call;
  auto impl = open_impl(test_options(directory), level == MPI_THREAD_MULTIPLE);
  object::ObjectService& service = impl->store();
  if (world_rank() == 0) REQUIRE(failure(service.create_bucket("input")) == "");
  REQUIRE(failure(impl->collectives().barrier()) == "");
  for (int i = 0; i < 40; ++i) {
    const ObjectName name{"input", "class/" + std::to_string(world_rank()) + "-" + std::to_string(i) + ".bin"};
    REQUIRE(failure(impl->store().put(name, test_bytes(2000, static_cast<std::uint64_t>(i)), {})) == "");
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");
  const std::uint64_t samples = 40 * static_cast<std::uint64_t>(world_size());

  for (int actor = 0; actor < world_size(); ++actor) {  // the others wait, and turn their engines where they have to
    if (world_rank() == actor) {
      INFO("rank " << actor);
      const std::string bucket = "output-" + std::to_string(actor);
      const auto id = service.start_job(spec_of("input", bucket));
      REQUIRE(failure(id) == "");
      const auto second = service.start_job(spec_of("input", bucket + "-b"));  // waits for the first one
      REQUIRE(failure(second) == "");
      CHECK(*second != *id);
      REQUIRE(failure(service.abort_job(*second)) == "");
      const auto status = wait_for_end(*impl, *id);
      INFO(boost::json::serialize(status));
      CHECK(base::json_string(status, "state") == "finished");
      CHECK(base::json_string(status, "id") == *id);
      CHECK(base::json_u64(status.as_object().at("report"), "samples") == samples);
      CHECK(service.list(bucket, {}).value().objects.size() == samples / 10);
      const auto aborted = wait_for_end(*impl, *second);
      INFO(boost::json::serialize(aborted));
      CHECK(base::json_string(aborted, "state") == "aborted");
      CHECK(base::json_string(aborted.as_object().at("error"), "code") == "aborted");
      CHECK_FALSE(service.has_bucket(bucket + "-b"));

      const auto failed = service.start_job(spec_of("missing", bucket));
      REQUIRE(failure(failed) == "");
      CHECK(base::json_string(wait_for_end(*impl, *failed), "state") == "failed");
      CHECK(code_of(service.start_job(base::parse_json(R"({"input_bck": 7})", "spec").value())) == "invalid");
      CHECK(code_of(service.job_status("srt-none")) == "not_found");
      CHECK(code_of(service.abort_job("srt-none")) == "not_found");
    }
    REQUIRE(failure(impl->collectives().barrier()) == "");
    CHECK(service.has_bucket("output-" + std::to_string(actor)));
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");
  REQUIRE(failure(impl->close()) == "");
}

TEST_CASE("Jobs: a rank that hears of a sort too late joins it; later sorts and close() go on", "[sorts]") {
  int level = 0;
  MPI_Query_thread(&level);
  if (world_size() < 3 || level == MPI_THREAD_MULTIPLE) return;  // with a service thread a computing rank answers
  SharedDirectory directory;
  auto options = test_options(directory);
  options.request_timeout = std::chrono::milliseconds(1500);
  const mpi::ApplicationCall call;
  auto impl = open_impl(options, false);
  const base::Json spec =
      base::parse_json(R"({"input_bck": "missing", "output_format": "out-%06d.tar", "output_shard_samples": 10})", "spec").value();

  const std::string flag = directory.path() + "/too-late";
  if (world_rank() == 0) {
    CHECK(code_of(impl->store().start_job(spec)) == "timeout");
    std::ofstream(flag) << "x";
  }
  if (world_rank() == 1) {  // computes, without a call, until rank 0 has given up
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!std::filesystem::exists(flag) && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");
  if (world_rank() == 0) {
    const auto id = impl->store().start_job(spec);
    REQUIRE(failure(id) == "");
    std::string state = "running";
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (state == "running" && std::chrono::steady_clock::now() < limit) {
      impl->engine().drive();
      state = base::json_string(impl->store().job_status(*id).value(), "state").value_or("?");
    }
    CHECK(state == "failed");  // there is no such bucket
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");
  REQUIRE(failure(impl->close()) == "");
}
