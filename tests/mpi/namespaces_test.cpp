// namespaces_test.cpp - ranks on nodes with a network, a host name and a /dev/shm of their own (tests/slurm/nodes_test.sh):
// that MPI and the store see them as such, and that what one reads from another goes over their network. Hidden: it needs such nodes.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

int expected_nodes() {
  const char* text = std::getenv("TARN_TEST_NODE_COUNT");
  REQUIRE(text != nullptr);
  return std::atoi(text);
}

struct Node {
  MPI_Comm comm = MPI_COMM_NULL;  // the ranks of this rank's node
  int leader = 0;                 // the first of them, as a rank of the job

  Node() {
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_rank(), MPI_INFO_NULL, &comm);
    leader = world_rank();
    MPI_Bcast(&leader, 1, MPI_INT, 0, comm);
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { MPI_Comm_free(&comm); }
};

/// One text of each rank, the same set on all.
std::set<std::string> gather(const std::string& text) {
  constexpr std::size_t kWidth = 64;
  std::string mine(text);
  mine.resize(kWidth);
  std::string all(kWidth * static_cast<std::size_t>(world_size()), '\0');
  MPI_Allgather(mine.data(), kWidth, MPI_CHAR, all.data(), kWidth, MPI_CHAR, MPI_COMM_WORLD);
  std::set<std::string> distinct;
  for (std::size_t at = 0; at < all.size(); at += kWidth) distinct.emplace(all.c_str() + at);
  return distinct;
}

/// What this node's network card has received since the node exists.
std::uint64_t received_bytes() {
  std::ifstream table("/proc/self/net/dev");
  for (std::string line; std::getline(table, line);) {
    const auto colon = line.find("eth0:");
    if (colon == std::string::npos) continue;
    std::uint64_t bytes = 0;
    std::istringstream(line.substr(colon + 5)) >> bytes;
    return bytes;
  }
  FAIL("this node has no eth0");
  return 0;
}

std::set<std::string> marks_in_shared_memory() {
  std::set<std::string> marks;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    if (const std::string name = entry.path().filename(); name.starts_with("tarn-test-mark-")) marks.insert(name);
  return marks;
}

}  // namespace

TEST_CASE("Nodes of their own: MPI, host names and /dev/shm tell them apart", "[.namespaces]") {
  const Node node;
  REQUIRE(gather(std::to_string(node.leader)).size() == static_cast<std::size_t>(expected_nodes()));
  char host[64] = {};
  REQUIRE(::gethostname(host, sizeof host - 1) == 0);
  REQUIRE(gather(host).size() == static_cast<std::size_t>(expected_nodes()));

  const std::string mark = "tarn-test-mark-" + std::to_string(node.leader);
  if (world_rank() == node.leader) std::ofstream("/dev/shm/" + mark) << "here\n";
  meet();
  const auto seen = marks_in_shared_memory();
  meet();
  std::filesystem::remove("/dev/shm/" + mark);
  REQUIRE(seen == std::set<std::string>{mark});
}

TEST_CASE("Nodes of their own: an object of another node comes over the network, one of this node does not", "[.namespaces]") {
  constexpr std::size_t kSize = std::size_t{8} << 20;
  const Node node;
  const SharedDirectory directory;
  Store store = open_store(test_options(directory));
  const auto stats = store.stats();
  REQUIRE(failure(stats) == "");
  REQUIRE(stats->nodes == expected_nodes());
  if (store.rank() == 0) REQUIRE(failure(store.create_bucket("objects")) == "");
  meet(store);

  // Each rank puts an object on its own disk; then, in turn, it reads all of them.
  const auto mine = key_on(store, "objects", "object", store.rank());
  REQUIRE(failure(store.put({"objects", mine}, test_bytes(kSize, static_cast<std::uint64_t>(store.rank())))) == "");
  std::vector<int> leaders(static_cast<std::size_t>(world_size()));
  MPI_Allgather(&node.leader, 1, MPI_INT, leaders.data(), 1, MPI_INT, MPI_COMM_WORLD);
  for (int reader = 0; reader < world_size(); ++reader) {
    meet(store);
    if (reader != store.rank()) continue;
    for (int owner = 0; owner < world_size(); ++owner) {
      const auto before = received_bytes();
      const auto read = store.get({"objects", key_on(store, "objects", "object", owner)});
      const auto received = received_bytes() - before;
      REQUIRE(failure(read) == "");
      CHECK(*read == test_bytes(kSize, static_cast<std::uint64_t>(owner)));
      if (leaders[static_cast<std::size_t>(owner)] == node.leader) {
        CHECK(received < kSize / 2);
      } else {
        CHECK(received >= kSize);
      }
    }
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}
