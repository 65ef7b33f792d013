// idle_test.cpp - what a silent store costs, and how soon it is awake again. Alone on the machine ([.idle]): it measures.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.hpp"
#include "mpi/mpi_test.hpp"

using namespace tarn;
using namespace tarn::tests;
using std::chrono::steady_clock;

namespace {

bool has_service_thread() {
  int level = 0;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = steady_clock::now();
  work();
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

/// Two processes that wake each other with datagrams and nothing else: what the machine takes for that.
class BareDatagrams {
 public:
  explicit BareDatagrams(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto address = address_of(path);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const timeval patience{30, 0};
    REQUIRE(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
  }
  void ask(const std::string& path) {
    send(address_of(path));
    receive();
  }
  void answer(int count) {
    for (; count > 0; --count) send(receive());
  }

 private:
  static sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
  }
  void send(const sockaddr_un& to) {
    const char byte = 1;
    REQUIRE(::sendto(socket_.get(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 1);
  }
  sockaddr_un receive() {
    char byte = 0;
    sockaddr_un from{};
    socklen_t size = sizeof(from);
    REQUIRE(::recvfrom(socket_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) == 1);
    return from;
  }

  base::UniqueFd socket_;
};

}  // namespace

TEST_CASE("Idle: an idle rank uses less than 1 % of a core and less than 64 MiB", "[.idle]") {
  if (!has_service_thread()) return;
  SharedDirectory directory;
  auto options = test_options(directory);
  options.sidecar.enabled = true;
  Store store = open_store(options);
  meet(store);
  std::this_thread::sleep_for(std::chrono::seconds(1));  // until then it is not idle: it looks out for more messages
  const double before = cpu_seconds();
  const auto start = steady_clock::now();
  std::this_thread::sleep_for(std::chrono::seconds(3));  // idleness is what is measured
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start).count();
  const double percent = 100 * (cpu_seconds() - before) / seconds;
  long pages = 0;
  long resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  const double mib = static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / (1 << 20);
  if (world_rank() == 0) WARN("idle: " << percent << " % of a core, " << mib << " MiB resident at rank 0 of " << world_size());
  CHECK(percent < 1);
  CHECK(mib < 64);
  meet(store);
  REQUIRE(failure(store.close()) == "");
}

TEST_CASE("Idle: the first request after silence is answered as soon as threads that sleep can be woken", "[.idle]") {
  if (world_size() == 1 || !has_service_thread()) return;
  SharedDirectory directory;
  auto options = test_options(directory);
  options.node_id_from_rank = true;
  Store store = open_store(options);
  constexpr int kRequests = 5;
  constexpr std::chrono::seconds kSilence{1};
  const int last = world_size() - 1;
  const auto path = [&](int rank) { return directory.path() + "/bare-" + std::to_string(rank); };
  std::optional<BareDatagrams> bare;
  if (world_rank() == 0 || world_rank() == last) bare.emplace(path(world_rank()));
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  if (world_rank() == 0) {
    const std::string key = key_on(store, "data", "k", last);
    REQUIRE(failure(store.put({"data", key}, test_bytes(100, 1))) == "");
    std::vector<double> times, bare_times;
    for (int i = 0; i < kRequests; ++i) {
      std::this_thread::sleep_for(kSilence);  // silence is what is measured
      times.push_back(1e3 * seconds_of([&] { CHECK(store.head({"data", key}).value().size_bytes == 100); }));
      std::this_thread::sleep_for(kSilence);
      bare_times.push_back(1e3 * seconds_of([&] { bare->ask(path(last)); }));
    }
    const auto median = [](std::vector<double> values) {
      std::sort(values.begin(), values.end());
      return values[values.size() / 2];
    };
    WARN("after " << kSilence.count() << " s of silence: a request " << median(times) << " ms, a bare datagram and its answer " << median(bare_times)
                  << " ms");
    // A request wakes four threads one after the other, a datagram two. Without the doorbell the sleeps are 4 ms, with one that is not heard 50.
    CHECK(median(times) < 0.5 + 4 * median(bare_times));
  } else if (world_rank() == last) {
    bare->answer(kRequests);
  } else {
    std::this_thread::sleep_for(2 * kSilence * kRequests);  // the test's barrier polls: not before rank 0 has measured
  }
  meet(store);
  REQUIRE(failure(store.close()) == "");
}
