#include <map>
#include <random>

#include "base/limits.hpp"
#include "mpi/comm.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/store_impl.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// The store's insides, for what has no public call yet.
std::unique_ptr<Store::Impl> open_impl(const StoreOptions& options) {
  int level = 0;
  MPI_Query_thread(&level);
  auto impl = Store::Impl::open(MPI_COMM_WORLD, options, level == MPI_THREAD_MULTIPLE ? mpi::ThreadLevel::any : mpi::ThreadLevel::one_at_a_time);
  REQUIRE(failure(impl) == "");
  return std::move(*impl);
}

struct Stored {
  object::StoredObject object;
  RankId rank;
  std::uint64_t seed;
};

}  // namespace

TEST_CASE("Fetcher: extents of all ranks, in any order and of any length, land where they belong", "[fetcher]") {
  SharedDirectory directory;
  const mpi::ApplicationCall call;
  auto impl = open_impl(test_options(directory));
  if (world_rank() == 0) REQUIRE(failure(impl->store().create_bucket("data")) == "");
  REQUIRE(failure(impl->collectives().barrier()) == "");

  const std::vector<std::size_t> sizes{1, 500, 12'345, 1 * limits::MiB, 5 * limits::MiB + 1};
  const auto seed_of = [](int rank, std::size_t i) { return static_cast<std::uint64_t>(rank) * 10 + i; };
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const ObjectName name{"data", std::to_string(world_rank()) + "-" + std::to_string(i)};
    REQUIRE(failure(impl->store().put(name, test_bytes(sizes[i], seed_of(world_rank(), i)), {})) == "");
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");

  std::vector<Stored> all;
  for (int rank = 0; rank < world_size(); ++rank) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const ObjectName name{"data", std::to_string(rank) + "-" + std::to_string(i)};
      const auto stored = impl->store().find(name);
      REQUIRE(failure(stored) == "");
      all.push_back({*stored, impl->store().locate(name.bucket, name.key).owner, seed_of(rank, i)});
    }
  }
  // Parts of all objects, thousands of small ones and some long, in random order.
  std::mt19937_64 random(42);
  struct Part {
    const Stored* from;
    std::uint64_t offset;
    std::vector<std::byte> bytes;
  };
  std::vector<Part> parts;
  for (int i = 0; i < 3000; ++i) {
    const Stored& from = all[random() % all.size()];
    const std::uint64_t size = from.object.info.size_bytes;
    const std::uint64_t offset = random() % size;
    const std::uint64_t longest = i % 100 == 0 ? size : 3000;
    parts.push_back({&from, offset, std::vector<std::byte>(std::min(size - offset, random() % (longest + 1)))});
  }
  std::vector<mpi::FetchRequest> requests;
  for (auto& part : parts) {
    REQUIRE(part.from->object.extents.size() == 1);
    const auto& extent = part.from->object.extents[0];
    requests.push_back({part.from->rank, part.from->object.disk, extent.volume, extent.offset + part.offset, part.bytes.size(), part.bytes.data()});
  }
  REQUIRE(failure(impl->fetcher().fetch(requests)) == "");
  std::size_t wrong = 0;
  std::map<std::uint64_t, std::vector<std::byte>> wholes;  // by seed
  for (const auto& stored : all) wholes[stored.seed] = test_bytes(static_cast<std::size_t>(stored.object.info.size_bytes), stored.seed);
  for (const auto& part : parts) {
    const auto& whole = wholes.at(part.from->seed);
    if (!std::equal(part.bytes.begin(), part.bytes.end(), whole.begin() + static_cast<std::ptrdiff_t>(part.offset))) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(failure(impl->fetcher().fetch({})) == "");

  SECTION("a volume that is not there") {
    std::byte byte{};
    for (int rank = 0; rank < world_size(); ++rank) {
      const mpi::FetchRequest missing[] = {{rank, 0, 987'654, 0, 1, &byte}};
      CHECK(code_of(impl->fetcher().fetch(missing)) == "not_found");
    }
  }
  SECTION("an extent beyond the end of its volume") {
    std::byte byte{};
    for (const auto& stored : all) {
      const mpi::FetchRequest beyond[] = {{stored.rank, stored.object.disk, stored.object.extents[0].volume, 1ULL << 40, 1, &byte}};
      CHECK(code_of(impl->fetcher().fetch(beyond)) == "out_of_range");
    }
  }
  REQUIRE(failure(impl->collectives().barrier()) == "");
  REQUIRE(failure(impl->close()) == "");
}
