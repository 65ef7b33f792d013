#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "base/file.hpp"
#include "base/json.hpp"
#include "mpi/endpoint_file.hpp"
#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

/// The same failure on every rank, with the rank that failed.
void check_agreed(const Result<Store>& opened, ErrorCode code, int failing_rank, const std::string& text) {
  REQUIRE_FALSE(opened);
  INFO(opened.error().message);
  CHECK(opened.error().code == code);
  if (failing_rank >= 0) CHECK(opened.error().rank == failing_rank);
  CHECK(opened.error().message.find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("open: a new store, closed and opened again, keeps its objects, also with the disks on other ranks", "[open]") {
  SharedDirectory directory;
  auto options = test_options(directory);
  std::string first_owner_disk;
  for (int round = 0; round < 3; ++round) {
    const int disk = (world_rank() + round) % world_size();
    options.directories = {directory.path() + "/disk-" + std::to_string(disk)};
    Store store = open_store(options);
    if (round == 0) {
      if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
      meet(store);
      for (int i = 0; i < 30; ++i)
        REQUIRE(failure(store.put({"data", std::to_string(world_rank()) + "/" + std::to_string(i)},
                                  test_bytes(3000, static_cast<std::uint64_t>(i)))) == "");
      REQUIRE(failure(store.put({"data", "large-" + std::to_string(world_rank())}, test_bytes(3 << 20, 9))) == "");
      meet(store);
    }
    REQUIRE(store.buckets().value().size() == 1);
    for (int rank = 0; rank < world_size(); ++rank) {
      for (int i = 0; i < 30; ++i) {
        const auto bytes = store.get({"data", std::to_string(rank) + "/" + std::to_string(i)});
        REQUIRE(failure(bytes) == "");
        CHECK((*bytes == test_bytes(3000, static_cast<std::uint64_t>(i))));
      }
      CHECK((store.get({"data", "large-" + std::to_string(rank)}).value() == test_bytes(3 << 20, 9)));
    }
    REQUIRE(failure(store.close()) == "");
  }
}

TEST_CASE("open: the same disks on fewer ranks: one rank takes several, the others are clients", "[open]") {
  SharedDirectory directory;
  auto options = test_options(directory);
  {
    Store store = open_store(options);
    if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
    meet(store);
    REQUIRE(failure(store.put({"data", "k" + std::to_string(world_rank())}, test_bytes(100, 1))) == "");
    REQUIRE(failure(store.close()) == "");
  }
  options.directories.clear();
  if (world_rank() == world_size() - 1)
    for (int r = 0; r < world_size(); ++r) options.directories.push_back(directory.path() + "/disk-" + std::to_string(r));
  Store store = open_store(options);
  for (int r = 0; r < world_size(); ++r) {
    CHECK(store.owner({"data", "k" + std::to_string(r)}).value() == world_size() - 1);
    CHECK((store.get({"data", "k" + std::to_string(r)}).value() == test_bytes(100, 1)));
  }
  REQUIRE(failure(store.put({"data", "from-client-" + std::to_string(world_rank())}, test_bytes(10, 2))) == "");
  meet(store);
  CHECK(store.list("data").value().objects.size() == static_cast<std::size_t>(2 * world_size()));
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("open: a directory in use is refused on all ranks, and the store that uses it goes on", "[open]") {
  SharedDirectory directory;
  const auto options = test_options(directory);
  Store store = open_store(options);
  auto second = options;
  second.directories = {directory.path() + "/second-{rank}"};
  const int failing = world_size() / 2;
  if (world_rank() == failing) second.directories = options.directories;
  check_agreed(open(MPI_COMM_WORLD, second), ErrorCode::busy, failing, "disk-" + std::to_string(failing));
  if (world_rank() == 0) CHECK(failure(store.create_bucket("still-works")) == "");
  meet(store);
  CHECK(store.buckets().value().size() == 1);
  REQUIRE(failure(store.close()) == "");
  Store again = open_store(options);
  REQUIRE(failure(again.close()) == "");
}

TEST_CASE("open: a directory that another job uses is refused on all ranks, naming the process", "[open]") {
  SharedDirectory directory;
  const auto options = test_options(directory);
  const int failing = world_size() - 1;
  const std::string disk = directory.path() + "/disk-" + std::to_string(failing);
  FILE* other = nullptr;
  if (world_rank() == 0) {
    const std::string flag = directory.path() + "/held";
    const std::string program = fs::read_symlink("/proc/self/exe").parent_path() / "hold_disk";
    other = ::popen((program + " " + disk + " " + flag).c_str(), "w");  // ends with the pipe
    REQUIRE(other != nullptr);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!fs::exists(flag) && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    REQUIRE(fs::exists(flag));
  }
  meet();
  std::stringstream lock;
  lock << std::ifstream(disk + "/lock").rdbuf();
  const auto holder = base::parse_json(lock.str(), "lock");
  REQUIRE(failure(holder) == "");
  const std::string pid = std::to_string(base::json_u64(*holder, "pid").value_or(0));
  CHECK(pid.size() > 1);
  const auto opened = open(MPI_COMM_WORLD, options);
  check_agreed(opened, ErrorCode::busy, failing, disk);
  CHECK_THAT(opened.error().message, Catch::Contains(pid));
  meet();
  if (other != nullptr) CHECK(::pclose(other) == 0);
  meet();
  Store store = open_store(options);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("open: an error of one rank is everybody's, for each rank in turn", "[open]") {
  SharedDirectory directory;
  for (int failing = 0; failing < world_size(); ++failing) {
    auto options = test_options(directory);
    if (world_rank() == failing) options.directories = {directory.path() + "/no/parent"};
    const auto opened = open(MPI_COMM_WORLD, options);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().rank == failing);
    CHECK(opened.error().message.find("no/parent") != std::string::npos);

    options = test_options(directory);
    options.sidecar.enabled = true;
    if (world_rank() == failing) options.sidecar.bind = "no-such-interface";
    check_agreed(open(MPI_COMM_WORLD, options), ErrorCode::invalid, failing, "no-such-interface");
  }
  Store store = open_store(test_options(directory));  // nothing was left behind
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("open: no directory anywhere, options that differ, disks of two stores, a copied disk", "[open]") {
  SharedDirectory directory;
  auto options = test_options(directory);
  options.directories.clear();
  check_agreed(open(MPI_COMM_WORLD, options), ErrorCode::invalid, -1, "no rank has a directory");
  if (world_size() == 1) return;

  options = test_options(directory);
  options.sidecar.enabled = true;
  if (world_rank() == world_size() - 1) options.sidecar.anonymous = true;
  check_agreed(open(MPI_COMM_WORLD, options), ErrorCode::invalid, -1, "sidecar.anonymous");

  MPI_Comm self_comm = MPI_COMM_NULL;  // every rank makes a store of its own
  MPI_Comm_split(MPI_COMM_WORLD, world_rank(), 0, &self_comm);
  options = test_options(directory);
  options.directories = {directory.path() + "/own-" + std::to_string(world_rank())};
  {
    auto own = open(self_comm, options);
    REQUIRE(failure(own) == "");
    REQUIRE(failure(own->close()) == "");
  }
  MPI_Comm_free(&self_comm);
  meet();
  check_agreed(open(MPI_COMM_WORLD, options), ErrorCode::invalid, -1, "disks of two stores");

  if (world_rank() == 1) fs::copy(directory.path() + "/own-0", directory.path() + "/copy", fs::copy_options::recursive);
  meet();
  if (world_rank() == 1) options.directories = {directory.path() + "/copy"};
  if (world_rank() > 1) options.directories.clear();
  check_agreed(open(MPI_COMM_WORLD, options), ErrorCode::invalid, -1, "the same disk twice");
}

TEST_CASE("open: singletons instead of one job are refused, with the remedy", "[open]") {
  SharedDirectory directory;
  const std::string variable = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr ? "OMPI_COMM_WORLD_SIZE" : "PMI_SIZE";  // MPICH's
  const char* before = std::getenv(variable.c_str());
  if (before == nullptr) return;  // started without a launcher: nothing to disagree with
  const std::string saved = before;
  ::setenv(variable.c_str(), std::to_string(world_size() + 3).c_str(), 1);
  const auto opened = open(MPI_COMM_WORLD, test_options(directory));
  ::setenv(variable.c_str(), saved.c_str(), 1);
  check_agreed(opened, ErrorCode::invalid, -1, "mpirun");
}

TEST_CASE("open: part of the ranks may have a store of their own, and two stores live side by side", "[open]") {
  SharedDirectory directory;
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, world_rank() % 2, world_rank(), &half);
  auto options = test_options(directory);
  Store all = open_store(options);
  options.directories = {directory.path() + "/half-" + std::to_string(world_rank())};
  auto part = open(half, options);
  REQUIRE(failure(part) == "");
  if (all.rank() == 0) REQUIRE(failure(all.create_bucket("data")) == "");
  if (part->rank() == 0) REQUIRE(failure(part->create_bucket("data")) == "");
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
    all.progress();
    part->progress();
  }
  REQUIRE(failure(part->put({"data", "k"}, test_bytes(10, static_cast<std::uint64_t>(world_rank() % 2)))) == "");
  CHECK((part->get({"data", "k"}).value() == test_bytes(10, static_cast<std::uint64_t>(world_rank() % 2))));
  CHECK(code_of(all.get({"data", "k"})) == "not_found");
  REQUIRE(failure(part->close()) == "");
  REQUIRE(failure(all.close()) == "");
  MPI_Comm_free(&half);
}

TEST_CASE("open: two ranks that wait for each other in two stores serve both meanwhile", "[open]") {
  if (world_size() == 1) return;
  SharedDirectory directory;
  auto options = test_options(directory);
  options.request_timeout = std::chrono::seconds(10);
  Store first = open_store(options);
  options.directories = {directory.path() + "/second-" + std::to_string(world_rank())};
  Store second = open_store(options);
  if (world_rank() == 0) {
    REQUIRE(failure(first.create_bucket("data")) == "");
    REQUIRE(failure(second.create_bucket("data")) == "");
  }
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
    first.progress();
    second.progress();
  }
  Store& own = world_rank() % 2 == 0 ? first : second;  // each rank waits in another store than its neighbour
  const std::string key = key_on(own, "data", "k" + std::to_string(world_rank()), (world_rank() + 1) % world_size());
  for (int i = 0; i < 50; ++i) REQUIRE(failure(own.put({"data", key}, test_bytes(100, static_cast<std::uint64_t>(i)))) == "");
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
    first.progress();
    second.progress();
  }
  REQUIRE(failure(second.close()) == "");
  REQUIRE(failure(first.close()) == "");
}

TEST_CASE("open: endpoint.json is there when every rank serves, for its owner only, and goes with the store", "[open]") {
  SharedDirectory directory;
  auto options = test_options(directory);
  options.sidecar.enabled = true;
  options.sidecar.endpoint_file = directory.path() + "/endpoint.json";
  Store store = open_store(options);
  struct stat status {};
  REQUIRE(::stat(options.sidecar.endpoint_file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  std::stringstream text;
  text << std::ifstream(options.sidecar.endpoint_file).rdbuf();
  const auto json = base::parse_json(text.str(), "endpoint.json");
  REQUIRE(failure(json) == "");
  const auto& endpoints = json->as_object().at("endpoints").as_array();
  REQUIRE(endpoints.size() == static_cast<std::size_t>(world_size()));
  CHECK(endpoints[static_cast<std::size_t>(world_rank())].as_string() == store.url());
  CHECK(base::json_string(*json, "token") == store.token());
  CHECK(store.token().size() >= 32);
  CHECK(base::json_string(*json, "access_key")->size() >= 16);
  CHECK(base::json_string(*json, "secret_key")->size() >= 40);
  CHECK(base::json_u64(*json, "map_epoch") == 1);
  meet(store);
  REQUIRE(failure(store.close()) == "");
  meet();
  CHECK_FALSE(fs::exists(options.sidecar.endpoint_file));
}

TEST_CASE("EndpointFile: what lies under the name is opened for writing, as the locks of NFS ask for", "[open]") {
  SharedDirectory directory;
  if (world_rank() != 0) return;
  const std::string path = directory.path() + "/endpoint.json";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);  // who opens a pipe for reading alone waits for a writer
  auto claimed = std::async(std::launch::async, [&] { return failure(mpi::EndpointFile::claim(path)); });
  const bool in_time = claimed.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  const base::UniqueFd writer(in_time ? -1 : ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));  // ends its wait
  CHECK(in_time);
  CHECK(claimed.get() == "");
}

TEST_CASE("EndpointFile: of two stores that start at once one gets the name, the other is told", "[open]") {
  SharedDirectory directory;
  if (world_rank() != 0) return;
  const std::string path = directory.path() + "/endpoint.json";
  for (int round = 0; round < 100; ++round) {
    int start[2], end[2];
    REQUIRE((::pipe(start) == 0 && ::pipe(end) == 0));
    pid_t children[2];
    for (pid_t& child : children) {
      child = ::fork();
      REQUIRE(child >= 0);
      if (child != 0) continue;
      char byte = 0;
      ::close(start[1]);
      ::close(end[1]);
      (void)!::read(start[0], &byte, 1);  // until the parent closes its end
      auto file = mpi::EndpointFile::claim(path);
      const auto written = file ? file->write({}, {}) : Result<void>(fail(file.error()));
      const bool told = !written && written.error().code == ErrorCode::busy;
      pollfd ended{end[0], POLLIN, 0};
      if (written) ::poll(&ended, 1, 20'000);  // it keeps the name while the other tries
      ::_exit(written ? 0 : told ? 1 : 2);
    }
    for (const int fd : {start[0], start[1], end[0]}) ::close(fd);
    int status = 0;
    const pid_t first = ::wait(&status);  // the one that was refused
    CHECK((first == children[0] || first == children[1]));
    CHECK(WEXITSTATUS(status) == 1);
    ::close(end[1]);
    REQUIRE(::waitpid(first == children[0] ? children[1] : children[0], &status, 0) > 0);
    CHECK(WEXITSTATUS(status) == 0);
    REQUIRE(fs::remove(path));
  }
}

TEST_CASE("open: the endpoint file of a store that is open is refused before a disk is made; a stale one is replaced", "[open]") {
  SharedDirectory directory;
  auto options = test_options(directory);
  options.sidecar.enabled = true;
  options.sidecar.endpoint_file = directory.path() + "/endpoint.json";
  if (world_rank() == 0) std::ofstream(options.sidecar.endpoint_file) << "left by a store that was killed";
  meet();
  Store store = open_store(options);
  auto second = options;
  second.directories = {directory.path() + "/second-{rank}"};
  check_agreed(open(MPI_COMM_WORLD, second), ErrorCode::busy, 0, "is the endpoint file of a running store");
  CHECK_FALSE(fs::exists(directory.path() + "/second-" + std::to_string(world_rank())));
  std::stringstream text;
  text << std::ifstream(options.sidecar.endpoint_file).rdbuf();
  CHECK(text.str().find(store.token()) != std::string::npos);
  meet(store);
  REQUIRE(failure(store.close()) == "");
  meet();
  Store again = open_store(second);
  REQUIRE(failure(again.close()) == "");
}

TEST_CASE("Store: destroyed without close, it leaves MPI alone and frees its directories", "[open]") {
  SharedDirectory directory;
  {
    Store store = open_store(test_options(directory));
    meet(store);
  }
  meet();
  Store again = open_store(test_options(directory));
  REQUIRE(failure(again.close()) == "");
}
