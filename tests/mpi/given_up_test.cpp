// given_up_test.cpp - a rank that runs out of memory inside a collective call: the others' calls end too, and so does every later one.
#include <functional>
#include <memory>
#include <optional>

#include "base/limits.hpp"
#include "mpi/caller.hpp"
#include "mpi/comm.hpp"
#include "mpi/engine.hpp"
#include "mpi/mpi_collectives.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/peer_service.hpp"
#include "mpi/presence.hpp"
#include "mpi/worker_pool.hpp"
#include "support/allocations.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

constexpr std::chrono::milliseconds kLimit{1200};  // told ranks look every quarter of it

/// Collectives and what looks after them, as in a store, without the rest of one.
class Ranks final : private mpi::Listener {
 public:
  explicit Ranks(bool own_thread) : engine({own_thread, std::chrono::microseconds(200)}) {
    presence_.add_to(service_);
    engine.listen(peers_.get(), *this);
    REQUIRE(failure(engine.start()) == "");
    REQUIRE(failure(collectives.barrier()) == "");
    presence_.set_answering(std::vector<bool>(static_cast<std::size_t>(world_size()), own_thread));
    collectives.end_with(presence_);
  }
  ~Ranks() override {
    engine.stop();
    caller_.fail_all(Error(ErrorCode::aborted, "the end of the test"));
    peers_.abandon();  // they may have messages that never end
    own_.abandon();
  }

 private:
  void on_message(MPI_Message message, int source, int tag, std::size_t size_bytes) override {
    presence_.heard(source);
    if (tag == mpi::kRequestTag) {
      service_.on_request(message, source, size_bytes);
    } else {
      caller_.on_reply(message, source, size_bytes);
    }
  }
  void on_tick(mpi::Clock::time_point now) override {
    presence_.on_tick(now);
    service_.on_tick();
  }

  mpi::Comm peers_ = mpi::Comm::duplicate(MPI_COMM_WORLD).value();
  mpi::Comm own_ = mpi::Comm::duplicate(MPI_COMM_WORLD).value();

 public:
  mpi::Engine engine;

 private:
  mpi::WorkerPool none_;
  mpi::Caller caller_{engine, peers_.get(), kLimit};
  mpi::PeerService service_{engine, peers_.get(), world_size(), none_, none_};
  mpi::Presence presence_{caller_, world_rank(), world_size()};

 public:
  mpi::MpiCollectives collectives{engine, own_};
};

enum class Where { caller, engine };

std::vector<std::vector<std::byte>> long_messages() {
  std::vector<std::vector<std::byte>> all;
  for (int to = 0; to < world_size(); ++to) all.push_back(test_bytes(3 * limits::kPeerPieceBytesMax, static_cast<std::uint64_t>(to)));
  return all;
}

/// `call` on all ranks; the last one's allocation number `good + 1` fails in it, in the calling thread or in the engine's.
/// @return whether it came to that.
bool fail_one(bool own_thread, Where where, std::uint64_t good, const std::function<Result<void>(mpi::Collectives&)>& call) {
  const mpi::ApplicationCall application_call;
  Ranks ranks(own_thread);
  const bool failing = world_rank() == world_size() - 1;
  std::optional<FailingAllocation> allocation;  // of the thread that makes it
  const auto in_thread = [&](const std::function<void()>& what) {
    if (where == Where::caller) return what();
    mpi::Event done;
    REQUIRE(ranks.engine.execute([&] {
      what();
      done.set();
    }));
    REQUIRE(ranks.engine.wait(done, mpi::kNoDeadline));
  };
  if (failing) in_thread([&] { allocation.emplace(good); });
  const auto first = call(ranks.collectives);
  int happened = 0;
  if (failing) {
    in_thread([&] {
      happened = allocation->happened() ? 1 : 0;
      allocation.reset();
    });
  }
  const auto second = ranks.collectives.barrier();
  INFO("allocation " << good << ": " << failure(first) << ", then " << failure(second));
  if (failing && !happened) CHECK(failure(first) == "");
  if (failing && !first) CHECK(first.error().code == ErrorCode::no_space);
  if (!failing && !first) CHECK((first.error().code == ErrorCode::rank_lost || first.error().code == ErrorCode::no_space));  // agreed upon
  if (!second) {
    CHECK(second.error().code == ErrorCode::rank_lost);
    CHECK(second.error().rank == world_size() - 1);
    CHECK_THAT(second.error().message, Catch::Contains("gave up"));
  }
  // All ranks come to the same end; until they have, each goes on answering.
  int all[2] = {happened, second ? 1 : 0};
  int sums[2] = {};
  mpi::Event summed;
  Result<void> outcome;
  REQUIRE(ranks.engine.execute([&] {
    ranks.engine.begin(
        "MPI_Iallreduce", mpi::Buffer(),
        [&](mpi::Buffer&, MPI_Request* started) { return MPI_Iallreduce(all, sums, 2, MPI_INT, MPI_SUM, MPI_COMM_WORLD, started); },
        [&](Result<void> ended, mpi::Buffer) {
          outcome = std::move(ended);
          summed.set();
        });
  }));
  REQUIRE(ranks.engine.wait(summed, mpi::Clock::now() + std::chrono::seconds(60)));
  REQUIRE(failure(outcome) == "");
  CHECK((sums[1] == 0 || sums[1] == world_size()));
  return sums[0] != 0;
}

bool threads_allowed() {
  int level = 0;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

}  // namespace

TEST_CASE("Collectives: where one rank runs out of memory the calls of all end, and later ones too", "[collectives][memory]") {
  if (world_size() < 2 || world_size() > 4) return;
  const bool own_thread = threads_allowed();
  const auto mine = test_bytes(100, 1);
  const auto gather = [&](mpi::Collectives& ranks) -> Result<void> {
    auto all = ranks.all_gather(mine);
    return all ? Result<void>() : Result<void>(fail(all.error()));
  };
  std::uint64_t good = 0;
  while (fail_one(own_thread, Where::caller, good, gather)) ++good;
  CHECK(good > 3);
}

TEST_CASE("Collectives.exchange: where one rank runs out of memory on the way the others do not wait for its bytes", "[collectives][memory]") {
  if (world_size() < 2 || world_size() > 4 || !threads_allowed()) return;
  const auto exchange = [](mpi::Collectives& ranks) -> Result<void> {
    auto all = ranks.exchange(long_messages());
    return all ? Result<void>() : Result<void>(fail(all.error()));
  };
  for (std::uint64_t good = 0; good < 12; ++good) static_cast<void>(fail_one(true, Where::engine, good, exchange));
}
