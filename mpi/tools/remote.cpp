#include "mpi/tools/remote.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace tarn::tools {

void add_endpoint_option(CommandLine& line, std::string& path) {
  line.options().add_options()("endpoint-file", po::value(&path)->value_name("FILE"),
                               "where the store runs (default: $TARN_ENDPOINT_FILE, then ./endpoint.json)");
}

Result<std::unique_ptr<http::Client>> connect(const std::string& endpoint_file) {
  TARN_TRY(http::Endpoint endpoint, http::read_endpoint_file(http::endpoint_file_path(endpoint_file)));
  return std::make_unique<http::Client>(std::move(endpoint));
}

Result<void> for_each_key(http::Client& client, const std::string& bucket, const ListOptions& options,
                          const std::function<Result<void>(const ListPage&)>& visit) {
  std::string continuation;
  do {
    TARN_TRY(http::ClientListing listing, client.list(bucket, options, continuation));
    TARN_CHECK(visit(listing.page));
    continuation = listing.page.truncated ? std::move(listing.continuation) : std::string();
  } while (!continuation.empty());
  return {};
}

Result<void> run_parallel(std::size_t count, unsigned threads, const std::function<Result<void>(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // guards first_error
  std::optional<Error> first_error;
  const auto loop = [&] {
    for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      Result<void> outcome;
      try {
        outcome = work(i);
      } catch (const std::exception& exception) {
        outcome = fail(ErrorCode::internal, exception.what());
      }
      if (outcome) continue;
      next.store(count);
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::move(outcome).error();
    }
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < std::min<std::size_t>(threads, count); ++i) helpers.emplace_back(loop);
  loop();
  for (std::thread& helper : helpers) helper.join();
  if (first_error) return fail(std::move(*first_error));
  return {};
}

void add_jobs_option(CommandLine& line, unsigned& jobs) {
  line.options().add_options()("jobs,j", po::value(&jobs)->value_name("N")->default_value(kJobsDefault), "transfers at the same time");
}

Result<void> check_jobs(unsigned jobs) {
  if (jobs < 1 || jobs > kJobsMax) return fail(ErrorCode::invalid, "--jobs " + std::to_string(jobs) + ": it must be 1 to 256");
  return {};
}

}  // namespace tarn::tools
