// doorbell_test.cpp - an engine asleep and a message that comes with a ring, without one, or a stranger's datagram instead.
#include "mpi/doorbell.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "mpi/comm.hpp"
#include "mpi/engine.hpp"
#include "mpi/mpi_collectives.hpp"
#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPollCap{5};   // so that the engine sleeps for the longest time there is:
constexpr double kDeepestMs = 250;    // a tick of the engine
constexpr milliseconds kSilence{60};  // far beyond Doorbell::kDeepAfter

bool threads_allowed() {
  int level = 0;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

/// Asks another rank's engine, which answers.
class Asking final : public mpi::Listener {
 public:
  Asking() : engine_({true, kPollCap}) {
    mpi::MpiCollectives collectives(engine_, own_);
    const mpi::ApplicationCall call;
    REQUIRE(failure(doorbell_.open(collectives)) == "");
    engine_.listen(comm_.get(), *this);
    engine_.wake_by(doorbell_);
    REQUIRE(failure(engine_.start()) == "");
  }
  ~Asking() override { engine_.stop(); }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

  [[nodiscard]] const mpi::Doorbell& doorbell() const { return doorbell_; }
  /// @return how long the answer took, in milliseconds.
  double ask(int rank, bool ring) {
    mpi::Event answered;
    const auto start = mpi::Clock::now();
    REQUIRE(engine_.execute([&] {
      waiting_ = &answered;
      send(rank, kQuestion, ring);
    }));
    REQUIRE(engine_.wait(answered, start + std::chrono::seconds(20)));
    return std::chrono::duration<double, std::milli>(mpi::Clock::now() - start).count();
  }
  void on_message(MPI_Message message, int source, int tag, std::size_t size_bytes) override {
    engine_.begin(
        "MPI_Imrecv", mpi::Buffer(size_bytes),
        [&](mpi::Buffer& bytes, MPI_Request* request) {
          return MPI_Imrecv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, &message, request);
        },
        [this, source, tag](Result<void>, mpi::Buffer) {
          if (tag == kQuestion) return send(source, kAnswer, true);
          std::exchange(waiting_, nullptr)->set();
        });
  }
  void on_tick(mpi::Clock::time_point /*now*/) override {}

 private:
  static constexpr int kQuestion = 0, kAnswer = 1;
  void send(int rank, int tag, bool ring) {
    engine_.begin(
        "MPI_Isend", mpi::Buffer(std::size_t{8}),
        [&](mpi::Buffer& bytes, MPI_Request* request) { return MPI_Isend(bytes.data(), 8, MPI_BYTE, rank, tag, comm_.get(), request); },
        [](Result<void>, mpi::Buffer) {});
    if (ring) engine_.ring(rank);
  }

  mpi::Comm comm_ = mpi::Comm::duplicate(MPI_COMM_WORLD).value(), own_ = mpi::Comm::duplicate(MPI_COMM_WORLD).value();
  mpi::Doorbell doorbell_;
  mpi::Event* waiting_ = nullptr;  // of the engine's thread
  mpi::Engine engine_;
};

std::vector<double> answer_times(Asking& asking, bool ring) {
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    std::this_thread::sleep_for(kSilence);  // until the other engine sleeps: what is tested
    times.push_back(asking.ask(1, ring));
  }
  std::sort(times.begin(), times.end());
  return times;
}

/// The doorbells on this machine, without the zero byte.
std::vector<std::string> names_of_doorbells() {
  std::vector<std::string> names;
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);)
    if (const auto at = line.find("@tarn-"); at != std::string::npos) names.push_back(line.substr(at + 1));
  return names;
}

}  // namespace

TEST_CASE("Doorbell: a ring ends a long sleep; a message without one is answered when the sleep ends", "[doorbell]") {
  if (!threads_allowed()) return;
  Asking asking;
  CHECK(asking.doorbell().all_ring());  // all ranks of the tests share a machine
  meet();
  if (world_rank() == 0 && world_size() > 1) {
    const auto rung = answer_times(asking, true);
    const auto silent = answer_times(asking, false);
    CAPTURE(rung, silent);
    CHECK(rung[4] < kDeepestMs / 4);
    CHECK(silent[4] > kDeepestMs / 8);  // somewhere in a sleep of that length
  }
  meet();
}

TEST_CASE("Doorbell: a stranger's datagrams cost latency, no more", "[doorbell]") {
  if (!threads_allowed()) return;
  const auto before = names_of_doorbells();
  meet();
  Asking asking;
  meet();
  if (world_rank() == 0 && world_size() > 1) {
    const base::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto names = names_of_doorbells();
    std::erase_if(names, [&](const auto& name) { return std::count(before.begin(), before.end(), name) > 0; });  // other jobs'
    CHECK(names.size() >= static_cast<std::size_t>(world_size()));
    const auto disturb = [&] {
      for (const auto& name : names) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        name.copy(address.sun_path + 1, sizeof(address.sun_path) - 1);
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        for (int i = 0; i < 20; ++i)
          (void)::sendto(socket.get(), "ring!", 5, MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
      }
    };
    for (int i = 0; i < 5; ++i) {
      disturb();
      std::this_thread::sleep_for(kSilence);
      CHECK(asking.ask(1, true) < 10'000);
    }
  }
  meet();
}

TEST_CASE("Doorbell: a store that is closed leaves none behind", "[doorbell]") {
  SharedDirectory directory;
  std::vector<std::string> before;
  {
    Store store = open_store(test_options(directory));
    before = names_of_doorbells();
    meet(store);
    REQUIRE(failure(store.close()) == "");
  }
  meet();
  const auto after = names_of_doorbells();
  const auto ours = std::count_if(before.begin(), before.end(), [&](const auto& name) { return std::count(after.begin(), after.end(), name) == 0; });
  CHECK(ours >= world_size());
}
