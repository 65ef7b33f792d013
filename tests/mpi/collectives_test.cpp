#include <memory>
#include <numeric>

#include "base/limits.hpp"
#include "mpi/comm.hpp"
#include "mpi/engine.hpp"
#include "mpi/gather_distinct.hpp"
#include "mpi/mpi_collectives.hpp"
#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// Collectives as open() uses them before it has a service thread, and as everybody does afterwards.
struct World {
  explicit World(bool own_thread) : engine({own_thread, std::chrono::microseconds(200)}) {
    if (own_thread) REQUIRE(failure(engine.start()) == "");
  }
  mpi::Comm comm = mpi::Comm::duplicate(MPI_COMM_WORLD).value();
  mpi::Engine engine;
  mpi::MpiCollectives ranks{engine, comm};
};

bool threads_allowed() {
  int level = 0;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

std::vector<std::byte> piece(int from, int to, std::size_t size) {
  return test_bytes(size, static_cast<std::uint64_t>(from) * 1000 + static_cast<std::uint64_t>(to));
}

}  // namespace

TEST_CASE("Collectives: sums, maxima, scans and barriers", "[collectives]") {
  const bool own_thread = GENERATE(false, true);
  if (own_thread && !threads_allowed()) return;
  World world(own_thread);
  const mpi::ApplicationCall call;
  const auto rank = static_cast<std::uint64_t>(world_rank());
  const auto size = static_cast<std::uint64_t>(world_size());

  std::vector<std::uint64_t> values{1, rank, UINT64_MAX / 1000};
  REQUIRE(failure(world.ranks.all_reduce_sum(values)) == "");
  CHECK(values == std::vector<std::uint64_t>{size, size * (size - 1) / 2, size * (UINT64_MAX / 1000)});
  values = {rank, 7, 100 - rank};
  REQUIRE(failure(world.ranks.all_reduce_max(values)) == "");
  CHECK(values == std::vector<std::uint64_t>{size - 1, 7, 100});
  values = {UINT64_MAX - rank, rank == 0 ? UINT64_MAX : 5};  // larger than any signed number
  REQUIRE(failure(world.ranks.all_reduce_max(values)) == "");
  CHECK(values == std::vector<std::uint64_t>{UINT64_MAX, UINT64_MAX});
  CHECK(world.ranks.exclusive_scan_sum(rank + 1).value() == rank * (rank + 1) / 2);
  for (int i = 0; i < 20; ++i) REQUIRE(failure(world.ranks.barrier()) == "");
}

TEST_CASE("Collectives.agree: every rank returns the error of the first that failed", "[collectives]") {
  World world(threads_allowed());
  const mpi::ApplicationCall call;
  CHECK(failure(world.ranks.agree({})) == "");
  for (int failing = 0; failing < world_size(); ++failing) {
    Result<void> mine;
    if (world_rank() >= failing) mine = fail(ErrorCode::no_space, "disk of rank " + std::to_string(world_rank()) + " is full");
    const auto outcome = world.ranks.agree(mine);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == ErrorCode::no_space);
    CHECK(outcome.error().rank == failing);
    CHECK(outcome.error().message == "disk of rank " + std::to_string(failing) + " is full");
  }
  // It happened on another one.
  const auto elsewhere = world.ranks.agree(fail(ErrorCode::rank_lost, "rank 7 does not answer", 7));
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().rank == 7);
  const auto value = mpi::agree_on(world.ranks, Result<int>(world_rank()));
  CHECK(value.value() == world_rank());
  CHECK(failure(world.ranks.agree({})) == "");
}

TEST_CASE("Collectives.agree: a very long message is cut, not lost", "[collectives]") {
  World world(threads_allowed());
  const mpi::ApplicationCall call;
  const auto outcome = world.ranks.agree(fail(ErrorCode::io, std::string(100'000, 'x')));
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().message.size() > 1000);
  CHECK(outcome.error().code == ErrorCode::io);
}

TEST_CASE("Collectives: gathers and broadcasts bytes of any length", "[collectives]") {
  World world(threads_allowed());
  const mpi::ApplicationCall call;
  const auto gathered = world.ranks.all_gather(piece(world_rank(), 0, static_cast<std::size_t>(world_rank()) * 1001));
  REQUIRE(failure(gathered) == "");
  REQUIRE(gathered->size() == static_cast<std::size_t>(world_size()));
  for (int r = 0; r < world_size(); ++r) CHECK((*gathered)[static_cast<std::size_t>(r)] == piece(r, 0, static_cast<std::size_t>(r) * 1001));

  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, 2 * limits::kPeerPieceBytesMax + 17}) {
    const int root = world_size() - 1;
    const auto mine = world_rank() == root ? piece(root, 1, size) : std::vector<std::byte>(3);
    const auto received = world.ranks.broadcast(root, mine);
    REQUIRE(failure(received) == "");
    CHECK((*received == piece(root, 1, size)));
  }
}

TEST_CASE("Collectives.all_gather: more than one message along each edge of the tree", "[collectives]") {
  World world(threads_allowed());
  const mpi::ApplicationCall call;
  const auto size_of = [](int rank) { return rank % 2 == 0 ? limits::kPeerPieceBytesMax : static_cast<std::size_t>(rank); };
  const auto gathered = world.ranks.all_gather(piece(world_rank(), 2, size_of(world_rank())));
  REQUIRE(failure(gathered) == "");
  for (int r = 0; r < world_size(); ++r) CHECK(((*gathered)[static_cast<std::size_t>(r)] == piece(r, 2, size_of(r))));
}

TEST_CASE("gather_distinct: what several ranks say comes once, in the order of the first who say it", "[collectives]") {
  World world(threads_allowed());
  const mpi::ApplicationCall call;
  const auto text_of = [](int rank) { return rank % 4 == 3 ? std::vector<std::byte>() : piece(rank % 4 == 0 ? 0 : 1, 3, 1000); };
  const auto texts = mpi::gather_distinct(world.ranks, text_of(world_rank()));
  REQUIRE(failure(texts) == "");
  REQUIRE(texts->size() == (world_size() > 1 ? 2 : 1));
  for (std::size_t i = 0; i < texts->size(); ++i) CHECK(((*texts)[i] == text_of(static_cast<int>(i))));
  const auto nothing = mpi::gather_distinct(world.ranks, {});
  REQUIRE(failure(nothing) == "");
  CHECK(nothing->empty());
}

TEST_CASE("Collectives.all_gather: too much is refused on every rank alike", "[collectives]") {
  World world(threads_allowed());
  const mpi::ApplicationCall call;
  const bool last = world_rank() == world_size() - 1;
  const auto gathered = world.ranks.all_gather(std::vector<std::byte>(last ? limits::kPeerPieceBytesMax + 1 : 10));
  CHECK(code_of(gathered) == "invalid");
  CHECK(failure(world.ranks.barrier()) == "");
}

TEST_CASE("Collectives.exchange: every rank gets from each what that one meant for it", "[collectives]") {
  const std::size_t scale = GENERATE(std::size_t{0}, std::size_t{1000}, 3 * limits::kPeerPieceBytesMax / 2);
  World world(threads_allowed());
  const mpi::ApplicationCall call;
  const auto size_of = [&](int from, int to) {
    if (scale <= 1000) return scale * static_cast<std::size_t>((from * 7 + to * 3) % 5);
    return from == (to + 1) % world_size() ? scale : static_cast<std::size_t>(from);  // long messages between neighbours
  };
  std::vector<std::vector<std::byte>> to_each;
  for (int to = 0; to < world_size(); ++to) to_each.push_back(piece(world_rank(), to, size_of(world_rank(), to)));
  const auto received = world.ranks.exchange(std::move(to_each));
  REQUIRE(failure(received) == "");
  for (int from = 0; from < world_size(); ++from)
    CHECK(((*received)[static_cast<std::size_t>(from)] == piece(from, world_rank(), size_of(from, world_rank()))));
}

TEST_CASE("Engine: a waiting thread is told when the engine stops", "[collectives]") {
  if (!threads_allowed()) return;
  mpi::Engine engine({true, std::chrono::microseconds(1000)});
  REQUIRE(failure(engine.start()) == "");
  engine.stop();
  mpi::Event never;
  CHECK_FALSE(engine.wait(never, mpi::kNoDeadline));
  CHECK_FALSE(engine.execute([] {}));
}
