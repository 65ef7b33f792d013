// engine_test.cpp - the engine when what it calls throws: that alone ends, the rest goes on.
#include <atomic>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "mpi/comm.hpp"
#include "mpi/engine.hpp"
#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

bool threads_allowed() {
  int level = 0;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

/// Receives numbers; throws as often as it is told to.
class Numbers final : public mpi::Listener {
 public:
  std::atomic<int> messages_to_refuse{0};
  std::atomic<int> ticks_to_refuse{0};
  std::vector<int> received;  // of the engine's thread; then of whom it has told by `complete`
  std::size_t expected = 0;
  mpi::Event complete, ticked;

  void on_message(MPI_Message message, int /*source*/, int /*tag*/, std::size_t size_bytes) override {
    if (messages_to_refuse > 0) {
      --messages_to_refuse;
      throw std::bad_alloc();
    }
    int number = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    if (size_bytes != sizeof(number) || MPI_Imrecv(&number, sizeof(number), MPI_BYTE, &message, &request) != MPI_SUCCESS) return;
    for (int done = 0; done == 0;) MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    received.push_back(number);
    if (received.size() == expected) complete.set();
  }
  void on_tick(mpi::Clock::time_point /*now*/) override {
    if (ticks_to_refuse > 0) {
      --ticks_to_refuse;
      throw std::runtime_error("a tick (test)");
    }
    ticked.set();
  }
};

struct LonelyEngine {
  explicit LonelyEngine(bool own_thread) : engine({own_thread, std::chrono::microseconds(500)}) {
    engine.listen(comm.get(), numbers);
    numbers.ticks_to_refuse = 1;
    REQUIRE(failure(engine.start()) == "");
  }
  ~LonelyEngine() { engine.stop(); }
  bool wait(mpi::Event& event) { return engine.wait(event, mpi::Clock::now() + std::chrono::seconds(20)); }
  bool run(std::function<void()> work) {
    mpi::Event done;
    if (!engine.execute([&] {
          work();
          done.set();
        }))
      return false;
    return wait(done);
  }
  mpi::Comm comm = mpi::Comm::duplicate(MPI_COMM_SELF).value();
  Numbers numbers;
  mpi::Engine engine;
};

}  // namespace

TEST_CASE("Engine: work, messages and ticks that throw end alone", "[engine]") {
  const bool own_thread = GENERATE(false, true);
  if (own_thread && !threads_allowed()) return;
  const mpi::ApplicationCall call;
  LonelyEngine one(own_thread);
  REQUIRE(one.engine.execute([] { throw std::bad_alloc(); }));
  REQUIRE(one.engine.execute([] { throw 42; }));
  CHECK(one.run([] {}));
  CHECK(one.wait(one.numbers.ticked));

  // Messages that could not be taken are offered again, in order.
  const std::vector<int> sent{1, 2, 3, 4};
  std::vector<MPI_Request> requests(sent.size(), MPI_REQUEST_NULL);
  one.numbers.expected = sent.size();
  one.numbers.messages_to_refuse = 3;
  CHECK(one.run([&] {
    for (std::size_t i = 0; i < sent.size(); ++i) MPI_Isend(&sent[i], sizeof(int), MPI_BYTE, 0, 0, one.comm.get(), &requests[i]);
  }));
  CHECK(one.wait(one.numbers.complete));
  CHECK(one.run([&] { MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE); }));
  CHECK(one.numbers.received == sent);
}

TEST_CASE("Engine: completions that throw, and requests that cannot be started, harm no others", "[engine]") {
  const bool own_thread = GENERATE(false, true);
  if (own_thread && !threads_allowed()) return;
  const mpi::ApplicationCall call;
  LonelyEngine one(own_thread);
  const mpi::Comm other = mpi::Comm::duplicate(MPI_COMM_SELF).value();  // nobody probes here
  constexpr int kMessages = 200;                                        // more than there is room for at first
  std::vector<int> sent(kMessages), received(kMessages, -1);
  int ended = 0;
  mpi::Event all;
  const auto count = [&](int i) {
    if (++ended == 2 * kMessages) all.set();
    if (i == 0 || i == 100) throw std::bad_alloc();
    if (i == 1 || i == kMessages - 1) throw std::runtime_error("a completion (test)");
  };
  CHECK(one.run([&] {
    for (int i = 0; i < kMessages; ++i) {
      const auto at = static_cast<std::size_t>(i);
      sent[at] = i;
      one.engine.begin(
          "MPI_Irecv", mpi::Buffer(),
          [&](mpi::Buffer&, MPI_Request* r) { return MPI_Irecv(&received[at], sizeof(int), MPI_BYTE, 0, i, other.get(), r); },
          [&count, i](Result<void>, mpi::Buffer) { count(i); });
      one.engine.begin(
          "MPI_Isend", mpi::Buffer(), [&](mpi::Buffer&, MPI_Request* r) { return MPI_Isend(&sent[at], sizeof(int), MPI_BYTE, 0, i, other.get(), r); },
          [&count, i](Result<void>, mpi::Buffer) { count(i); });
    }
  }));
  CHECK(one.wait(all));
  CHECK(received == sent);

  std::string refused;
  CHECK(one.run([&] {
    one.engine.begin(
        "MPI_Isend", mpi::Buffer(), [&](mpi::Buffer&, MPI_Request* r) { return MPI_Isend(sent.data(), 1, MPI_BYTE, 17, 0, other.get(), r); },
        [&](Result<void> outcome, mpi::Buffer) { refused = failure(outcome); });
  }));
  CHECK_THAT(refused, Catch::Contains("MPI_Isend failed"));
  CHECK(one.run([&] { CHECK(one.engine.outstanding() == 0); }));
}
