// roles_test.cpp - service ranks and application ranks in one store, by their roles alone; `tarn serve` beside an application is in
// tests/cli/mpmd_test.py.
#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <thread>

#include "mpi/common_options.hpp"
#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// One rank in three is there for the store alone: the first, the last or those in between.
enum class Services { first, last, some };

bool is_service(Services which) {
  switch (which) {
    case Services::first:
      return world_rank() == 0;
    case Services::last:
      return world_rank() == world_size() - 1;
    case Services::some:
      return world_rank() % 3 == 1;
  }
  return false;
}

/// Only service ranks have disks, as with `tarn serve`.
StoreOptions options_as(const SharedDirectory& directory, bool service) {
  StoreOptions options = test_options(directory);
  options.role = service ? RankRole::service : RankRole::application;
  if (!service) options.directories.clear();
  return options;
}

int size_of(MPI_Comm comm) {
  int size = 0;
  MPI_Comm_size(comm, &size);
  return size;
}
int rank_in(MPI_Comm comm) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  return rank;
}

/// A barrier of the application's ranks, as it would make one itself.
void application_barrier(Store& store) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(application_communicator(store), &request);
  for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) store.progress();
}

DsortSpec shards_of(const std::string& bucket) {
  DsortSpec spec;
  spec.input.bucket = bucket;
  spec.output_bucket = "shards";
  spec.output_template = "s-%04d.tar";
  spec.shard_samples = 5;
  return spec;
}

/// What an application does with a store, all of it.
void use(Store& store, const std::string& bucket) {
  const MPI_Comm comm = application_communicator(store);
  const int rank = rank_in(comm), ranks = size_of(comm);
  if (rank == 0) REQUIRE(failure(store.create_bucket(bucket)) == "");
  application_barrier(store);
  for (int i = 0; i < 6; ++i)
    REQUIRE(failure(store.put({bucket, std::to_string(rank) + "-" + std::to_string(i) + ".bin"},
                              test_bytes(2000, static_cast<std::uint64_t>(rank)))) == "");
  application_barrier(store);
  for (int r = 0; r < ranks; ++r)
    CHECK((store.get({bucket, std::to_string(r) + "-3.bin"}).value() == test_bytes(2000, static_cast<std::uint64_t>(r))));
  REQUIRE(failure(store.flush()) == "");
  const auto report = store.dsort(shards_of(bucket));
  REQUIRE(failure(report) == "");
  CHECK(report->samples == static_cast<std::uint64_t>(6 * ranks));
  REQUIRE(failure(store.flush()) == "");
}

}  // namespace

TEST_CASE("roles: the application has a communicator of its own, and service ranks take part until it has closed", "[roles]") {
  for (const auto which : {Services::first, Services::last, Services::some}) {
    const bool service = is_service(which);
    int services = service ? 1 : 0;
    MPI_Allreduce(MPI_IN_PLACE, &services, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (services == 0 || services == world_size()) continue;
    SharedDirectory directory;
    Store store = open_store(options_as(directory, service));
    CHECK(store.size() == world_size());
    CHECK(store.rank() == world_rank());
    const MPI_Comm comm = application_communicator(store);
    if (service) {
      CHECK(comm == MPI_COMM_NULL);
      CHECK(code_of(store.flush()) == "invalid");  // not theirs to begin
      CHECK(code_of(store.dsort(shards_of("data"))) == "invalid");
    } else {
      CHECK(size_of(comm) == world_size() - services);
      const int before = which == Services::first ? 1 : which == Services::last ? 0 : (world_rank() + 1) / 3;  // service ranks
      CHECK(rank_in(comm) == world_rank() - before);
      use(store, "data");
    }
    REQUIRE(failure(store.close()) == "");
    CHECK(application_communicator(store) == MPI_COMM_NULL);
    meet();
  }
}

TEST_CASE("roles: with one role only, the application's communicator holds all ranks, or none", "[roles]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  int relation = MPI_UNEQUAL;
  MPI_Comm_compare(application_communicator(store), MPI_COMM_WORLD, &relation);
  CHECK(relation == MPI_CONGRUENT);
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  MPI_Comm_get_errhandler(application_communicator(store), &handler);
  CHECK(handler == MPI_ERRORS_ARE_FATAL);  // MPI_COMM_WORLD's: the application's business
  if (handler != MPI_ERRHANDLER_NULL) MPI_Errhandler_free(&handler);
  Store moved = std::move(store);
  CHECK(application_communicator(store) == MPI_COMM_NULL);
  use(moved, "data");
  REQUIRE(failure(moved.close()) == "");

  auto options = test_options(directory);
  options.role = RankRole::service;
  Store services = open_store(options);
  CHECK(application_communicator(services) == MPI_COMM_NULL);
  REQUIRE(failure(services.flush()) == "");                       // nobody else would
  CHECK(code_of(services.dsort(shards_of("data"))) == "exists");  // the shards of before
  REQUIRE(failure(services.close()) == "");
}

TEST_CASE("roles: who closes early goes on serving until all have closed", "[roles]") {
  SharedDirectory directory;
  Store store = open_store(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const std::string key = key_on(store, "data", "early", 0);
  if (world_rank() == 0) REQUIRE(failure(store.put({"data", key}, test_bytes(100'000, 1))) == "");
  meet(store);
  // Rank r closes when rank r + 1 has seen that rank 0, which has closed first of all, still serves.
  if (world_rank() > 0) {
    int token = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Irecv(&token, 1, MPI_INT, world_rank() - 1, 7, MPI_COMM_WORLD, &request);
    for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) store.progress();
    for (int i = 0; i < 5; ++i) CHECK((store.get({"data", key}).value() == test_bytes(100'000, 1)));
    CHECK(failure(store.put({"data", key}, test_bytes(100'000, 1))) == "");
  }
  if (world_rank() + 1 < world_size()) {
    const int token = 1;
    MPI_Send(&token, 1, MPI_INT, world_rank() + 1, 7, MPI_COMM_WORLD);
  }
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("roles: ranks that make different collective calls are told so, and the store goes on", "[roles]") {
  for (const bool mixed : {true, false}) {
    if (world_size() < (mixed ? 3 : 2)) continue;
    INFO((mixed ? "beside a service rank" : "without service ranks"));
    const bool service = mixed && world_rank() == 1;
    SharedDirectory directory;
    Store store = open_store(mixed ? options_as(directory, service) : test_options(directory));
    const auto refused = [](const auto& outcome, const char* one, const char* other) {
      REQUIRE_FALSE(outcome);
      CHECK(outcome.error().code == ErrorCode::invalid);
      CHECK_THAT(outcome.error().message, Catch::Contains(one) && Catch::Contains(other));
    };
    if (!service) {
      refused(world_rank() == 0 ? store.flush() : store.close(), "flush()", "close()");
      if (world_rank() == 0) {
        refused(store.dsort(shards_of("data")), "dsort()", "flush()");
      } else {
        refused(store.flush(), "dsort()", "flush()");
      }
      use(store, "data");
    }
    REQUIRE(failure(store.close()) == "");
    meet();
  }
}

TEST_CASE("roles: a dsort that the application's ranks disagree on, or that is wrong, fails on all of them and hangs nobody", "[roles]") {
  if (world_size() < 3) return;
  const bool service = world_rank() == world_size() - 1;
  SharedDirectory directory;
  Store store = open_store(options_as(directory, service));
  if (!service) {
    use(store, "data");
    DsortSpec spec = shards_of("data");
    spec.output_bucket = "other";
    if (world_rank() == 1) spec.shard_samples = 6;
    const auto differ = store.dsort(spec);
    CHECK(code_of(differ) == "invalid");
    if (!differ) CHECK_THAT(differ.error().message, Catch::Contains("different specifications"));
    spec.shard_samples = 0;  // nothing says where a shard ends
    CHECK(code_of(store.dsort(spec)) == "invalid");
    spec = shards_of("nowhere");
    CHECK(code_of(store.dsort(spec)) == "bucket_not_found");
    REQUIRE(failure(store.flush()) == "");
  }
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("roles: a service rank that follows for long takes no core, and finds nobody lost", "[roles]") {
  if (world_size() < 2) return;
  const bool service = world_rank() == 0;
  SharedDirectory directory;
  auto options = options_as(directory, service);
  options.request_timeout = std::chrono::milliseconds(1500);  // a wait looks around at every quarter of it
  Store store = open_store(options);
  const auto start = std::chrono::steady_clock::now();
  const auto cpu_seconds = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  };
  const double cpu = cpu_seconds();
  if (!service)  // silent for longer than the limit
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(2000)) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  REQUIRE(failure(store.close()) == "");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(seconds > 1.9);
  if (service) CHECK(cpu_seconds() - cpu < 0.3 * seconds);
}

TEST_CASE("roles: no directory on any rank is refused, beside service ranks too", "[roles]") {
  if (world_size() < 2) return;
  SharedDirectory directory;
  auto options = options_as(directory, world_rank() == 1);
  options.directories.clear();
  const auto opened = open(MPI_COMM_WORLD, options);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::invalid);
  CHECK_THAT(opened.error().message, Catch::Contains("no rank has a directory"));
}

TEST_CASE("roles: a rank with neither disk nor sidecar, rank 0 for one, is a client of all others", "[roles]") {
  if (world_size() < 2) return;
  SharedDirectory directory;
  for (const int client : {0, world_size() - 1}) {
    auto options = test_options(directory);
    options.sidecar.enabled = world_rank() != client;
    options.sidecar.endpoint_file = directory.path() + "/endpoint.json";
    options.sidecar.anonymous = options.sidecar.enabled;
    options.directories = {directory.path() + "/disk-" + std::to_string(client) + "-{rank}"};
    if (world_rank() == client) options.directories.clear();
    Store store = open_store(options);
    CHECK(store.token().empty());  // as those say that serve
    CHECK(store.url().empty() == (world_rank() == client));
    CHECK(store.owner({"data", "k"}).value_or(client) != client);
    use(store, "data");
    REQUIRE(failure(store.close()) == "");
  }
}

TEST_CASE("roles: beside a store with service ranks a process has another one, on another communicator, with other roles", "[roles]") {
  if (world_size() < 2) return;
  // Rank 0 serves the first store, and has the only disk of the second: it follows in the first one's close() while the others use both.
  const bool service = world_rank() == 0;
  SharedDirectory directory;
  Store first = open_store(options_as(directory, service));
  MPI_Comm turned = MPI_COMM_NULL;  // the ranks in the other order
  MPI_Comm_split(MPI_COMM_WORLD, 0, -world_rank(), &turned);
  StoreOptions options = test_options(directory);
  options.directories.clear();
  if (service) options.directories = {directory.path() + "/second"};
  auto opened = open(turned, options);
  REQUIRE(failure(opened) == "");
  Store second = std::move(*opened);
  CHECK(second.rank() == world_size() - 1 - world_rank());
  CHECK(application_communicator(first) != application_communicator(second));
  CHECK((application_communicator(first) == MPI_COMM_NULL) == service);
  CHECK(size_of(application_communicator(second)) == world_size());
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  if (service) {
    REQUIRE(failure(second.create_bucket("data")) == "");
    REQUIRE(failure(second.put({"data", "from-0"}, test_bytes(200'000, 7))) == "");
  } else {
    // Both have a bucket of this name, and nothing else in common.
    while (code_of(second.head({"data", "from-0"})) != "success" && std::chrono::steady_clock::now() < limit) {
      first.progress();
      second.progress();
    }
    use(first, "data");
    CHECK((second.get({"data", "from-0"}).value() == test_bytes(200'000, 7)));
    CHECK(code_of(first.get({"data", "from-0"})) == "not_found");
    CHECK(failure(second.put({"data", "from-" + std::to_string(world_rank())}, test_bytes(3 << 20, 8))) == "");
    CHECK(code_of(second.get({"data", "0-3.bin"})) == "not_found");
    CHECK(code_of(second.head({"shards", "s-0000.tar"})) == "bucket_not_found");
  }
  REQUIRE(failure(first.close()) == "");
  CHECK(application_communicator(first) == MPI_COMM_NULL);
  REQUIRE(failure(second.flush()) == "");
  CHECK(second.list("data").value().objects.size() == static_cast<std::size_t>(world_size()));
  meet(second);
  REQUIRE(failure(second.close()) == "");
  MPI_Comm_free(&turned);
}

TEST_CASE("roles: messages on the application's communicator do not meet the store's", "[roles]") {
  if (world_size() < 2) return;
  SharedDirectory directory;
  Store store = open_store(options_as(directory, world_rank() == 0));
  if (const MPI_Comm comm = application_communicator(store); comm != MPI_COMM_NULL) {
    if (rank_in(comm) == 0) REQUIRE(failure(store.create_bucket("data")) == "");
    application_barrier(store);
    // Any source, any tag: nothing of the store's may arrive here.
    std::array<int, 2> values{rank_in(comm), -1};
    MPI_Request requests[2];
    MPI_Irecv(&values[1], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &requests[0]);
    for (int i = 0; i < 20; ++i) CHECK(failure(store.put({"data", std::to_string(values[0])}, test_bytes(5000, 1))) == "");
    MPI_Isend(values.data(), 1, MPI_INT, (values[0] + 1) % size_of(comm), 3, comm, &requests[1]);
    for (int done = 0; done == 0; MPI_Testall(2, requests, &done, MPI_STATUSES_IGNORE)) store.progress();
    CHECK(values[1] == (values[0] + size_of(comm) - 1) % size_of(comm));
  }
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("common options: whose word counts, and what those get who say nothing", "[roles]") {
  using std::chrono::seconds;
  StoreOptions client;
  mpi::RankOptions service{RankRole::service, true, true, true, RedirectPolicy::never, seconds(0)};
  const mpi::RankOptions silent = mpi::options_of(client);
  const auto common = [](const StoreOptions& mine, std::vector<mpi::RankOptions> all) { return mpi::with_common_options(mine, all); };

  auto got = common(client, {silent, service, service, silent});
  REQUIRE(failure(got) == "");
  CHECK(got->node_id_from_rank);
  CHECK(got->sidecar.anonymous);
  CHECK(got->sidecar.redirect == RedirectPolicy::never);
  CHECK(got->request_timeout.count() == 0);
  CHECK(got->role == RankRole::application);

  mpi::RankOptions timed = silent;
  timed.request_timeout = seconds(5);
  got = common(client, {service, silent, timed});
  REQUIRE(failure(got) == "");
  CHECK(got->request_timeout == seconds(5));  // of all, `tarn serve` too
  mpi::RankOptions longer = timed;
  longer.request_timeout = seconds(6);
  got = common(client, {service, timed, silent, longer});
  REQUIRE_FALSE(got);
  CHECK_THAT(got.error().message, Catch::Contains("request_timeout") && Catch::Contains("rank 1 says 5000 ms, rank 3 says 6000 ms"));

  // The application wants what the service ranks do not say; service ranks differ; without service ranks all count.
  mpi::RankOptions plain = service, wanting = silent;
  plain.node_id_from_rank = false;
  wanting.node_id_from_rank = true;
  CHECK(code_of(common(client, {wanting, plain})) == "invalid");
  CHECK(failure(common(client, {wanting, silent, service})) == "");
  CHECK(code_of(common(client, {plain, service})) == "invalid");
  CHECK(code_of(common(client, {silent, wanting})) == "invalid");
  plain = service;
  plain.redirect = RedirectPolicy::always;
  got = common(client, {plain, service});
  REQUIRE_FALSE(got);
  CHECK_THAT(got.error().message, Catch::Contains("sidecar.redirect") && Catch::Contains("rank 0 says always, rank 1 says never"));
}
