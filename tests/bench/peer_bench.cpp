// peer_bench.cpp - what it costs that an object is another rank's: beside bare MPI, a local get and `cat`, in turn.
//   mpirun -n 4 peer_bench DIR [--rounds R=9]
// Two stores of the same ranks are open: in one the ranks are neighbours, in the other each is a node of its own, so that all bytes are messages.
// Ranks 0 and 1 measure, the others sleep, but for the aggregate. Rank 0 prints a line for each figure: the least, the median, the most.
#include <fcntl.h>
#include <mpi.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <tarn/open.hpp>

#include "base/file.hpp"
#include "base/hash.hpp"
#include "mpi/comm.hpp"
#include "mpi/doorbell.hpp"
#include "mpi/engine.hpp"
#include "mpi/mpi_collectives.hpp"

namespace {

using namespace tarn;
using Bytes = std::vector<std::byte>;

constexpr std::size_t kMiB = std::size_t{1} << 20, kSmall = 10 * 1024;
constexpr int kLarge = 64;       // objects of 1 MiB that rank 1 sends to rank 0
constexpr int kSmallMany = 512;  // objects of 10 KiB
constexpr int kAggregate = 128;  // objects of 1 MiB of each rank

int rank_of_world() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "peer_bench: %s\n", why.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A barrier that leaves the cores to those who measure.
void quiet_barrier() {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

Bytes some_bytes(std::size_t size, unsigned seed) {
  Bytes bytes(size);
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (auto& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

/// The first `count` names of the form STEM-N whose home is that rank.
std::vector<ObjectName> names_on(const Store& store, const std::string& stem, RankId rank, int count) {
  std::vector<ObjectName> names;
  for (int i = 0; names.size() < static_cast<std::size_t>(count); ++i) {
    ObjectName name{"bench", stem + "-" + std::to_string(i)};
    if (need(store.owner(name)) == rank) names.push_back(std::move(name));
  }
  return names;
}

void put_all(Store& store, const std::vector<ObjectName>& names, std::size_t size) {
  for (std::size_t i = 0; i < names.size(); ++i) need(store.put(names[i], some_bytes(size, static_cast<unsigned>(i))));
}

void get_all(Store& store, const std::vector<ObjectName>& names, std::size_t size) {
  for (const auto& name : names)
    if (need(store.get(name)).size() != size) give_up("an object of another size");
}

/// One figure: a value for each round.
class Figure {
 public:
  Figure(std::string what, const char* unit) : what_(std::move(what)), unit_(unit) {}
  void add(double value) { values_.push_back(value); }
  void print() {
    if (values_.empty()) return;
    std::sort(values_.begin(), values_.end());
    std::printf("| %-92s | %9.3f | %9.3f | %9.3f | %s\n", what_.c_str(), values_.front(), values_[values_.size() / 2], values_.back(), unit_);
    std::fflush(stdout);
  }

 private:
  std::string what_;
  const char* unit_;
  std::vector<double> values_;
};

/// 10 KiB there and back through two service threads as the store has them, without anything of the store.
class Echo final : public mpi::Listener {
 public:
  Echo() : comm_(need(mpi::Comm::duplicate(MPI_COMM_WORLD))), own_(need(mpi::Comm::duplicate(MPI_COMM_WORLD))), engine_({}) {
    mpi::MpiCollectives collectives(engine_, own_);
    const mpi::ApplicationCall call;
    need(doorbell_.open(collectives));
    engine_.listen(comm_.get(), *this);
    engine_.wake_by(doorbell_);
    need(engine_.start());
  }
  void close() {
    quiet_barrier();
    engine_.stop();
  }
  void ask(int rank, const Bytes& bytes) {
    mpi::Event answered;
    engine_.execute([&] {
      waiting_ = &answered;
      send(rank, kQuestion, mpi::Buffer(bytes));
    });
    engine_.wait(answered, mpi::kNoDeadline);
  }
  void on_message(MPI_Message message, int source, int tag, std::size_t size_bytes) override {
    engine_.begin(
        "MPI_Imrecv", mpi::Buffer(size_bytes),
        [&](mpi::Buffer& bytes, MPI_Request* request) {
          return MPI_Imrecv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, &message, request);
        },
        [this, source, tag](Result<void>, mpi::Buffer bytes) {
          if (tag == kQuestion) return send(source, kAnswer, std::move(bytes));
          std::exchange(waiting_, nullptr)->set();
        });
  }
  void on_tick(mpi::Clock::time_point /*now*/) override {}

 private:
  static constexpr int kQuestion = 0, kAnswer = 1;
  void send(int rank, int tag, mpi::Buffer message) {
    engine_.begin(
        "MPI_Isend", std::move(message),
        [&](mpi::Buffer& bytes, MPI_Request* request) {
          return MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, rank, tag, comm_.get(), request);
        },
        [](Result<void>, mpi::Buffer) {});
    engine_.ring(rank);
  }
  mpi::Comm comm_, own_;
  mpi::Doorbell doorbell_;
  mpi::Event* waiting_ = nullptr;
  mpi::Engine engine_;
};

class Bench {
 public:
  Bench(const std::string& directory, int rounds) : rank_(rank_of_world()), directory_(directory), rounds_(rounds) {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    neighbours_.emplace(open_store("neighbours", false));
    remotes_.emplace(open_store("remotes", true));
    fill();
  }
  void run() {
    remote_large();
    small();
    aggregate();
    first_request();
    idle();
    MPI_Comm_free(&comm_);
    need(neighbours_->close());
    need(remotes_->close());
  }

 private:
  Store open_store(const std::string& name, bool own_nodes) {
    StoreOptions options;
    options.directories = {directory_ + "/" + name + "-{rank}"};
    options.node_id_from_rank = own_nodes;
    Store store = need(tarn::open(MPI_COMM_WORLD, options));
    if (rank_ == 0) need(store.create_bucket("bench"));
    quiet_barrier();
    return store;
  }

  void fill() {
    large_ = names_on(*remotes_, "large", 1, kLarge);
    small_remote_ = names_on(*remotes_, "small", 1, kSmallMany);
    small_neighbour_ = names_on(*neighbours_, "small", 1, kSmallMany);
    small_local_ = names_on(*neighbours_, "small", 0, kSmallMany);
    if (rank_ == 1) {
      put_all(*remotes_, large_, kMiB);
      put_all(*remotes_, small_remote_, kSmall);
      put_all(*neighbours_, small_neighbour_, kSmall);
    }
    if (rank_ == 0) put_all(*neighbours_, small_local_, kSmall);
    put_all(*neighbours_, names_on(*neighbours_, "many", rank_, kAggregate), kMiB);
    put_all(*remotes_, names_on(*remotes_, "many", rank_, kAggregate), kMiB);
    need(neighbours_->flush());
    need(remotes_->flush());
    if (rank_ == 1) {  // the bytes that the bare loop sends
      base::UniqueFd file(::open((directory_ + "/bare").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      for (unsigned i = 0; i < kLarge; ++i)
        if (const auto bytes = some_bytes(kMiB, i); ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(kMiB))
          give_up("no space");
    }
    quiet_barrier();
  }

  /// On rank 0 while rank 1 runs `other` and the others sleep. @return seconds, at rank 0.
  double measure(const std::function<void()>& work, const std::function<void()>& other = {}) {
    quiet_barrier();
    double seconds = 0;
    if (rank_ == 0) seconds = seconds_of(work);
    if (rank_ == 1 && other) other();
    quiet_barrier();
    return seconds;
  }

  void print(std::initializer_list<Figure*> figures) const {
    if (rank_ != 0) return;
    for (Figure* figure : figures) figure->print();
  }

  void remote_large() {
    Figure get("remote get of 1 MiB", "us"), loop("bare loop: ask, pread, send, receive, checksum of 1 MiB", "us"),
        stream("the same without asking: one sends, the other checks", "us"), raw("raw ping-pong of 1 MiB, one way", "us"),
        ratio("bare loop's time / remote get's, wanted 0.9", "x"), stream_ratio("the stream's time / remote get's", "x"),
        raw_ratio("ping-pong's time / remote get's", "x");
    Bytes buffer(kMiB);
    const base::UniqueFd file(::open((directory_ + "/bare").c_str(), O_RDONLY | O_CLOEXEC));
    const auto bytes = static_cast<int>(kMiB);
    const auto ask = [&](bool asking) {
      for (int i = 0; i < kLarge; ++i) {
        if (asking) MPI_Send(&i, 1, MPI_INT, 1, 0, comm_);
        MPI_Recv(buffer.data(), bytes, MPI_BYTE, 1, 1, comm_, MPI_STATUS_IGNORE);
        sink_ ^= base::xxh3_128(buffer)[0];
      }
    };
    const auto answer = [&](bool asked) {
      for (int i = 0; i < kLarge; ++i) {
        int which = i;
        if (asked) MPI_Recv(&which, 1, MPI_INT, 0, 0, comm_, MPI_STATUS_IGNORE);
        if (::pread(file.get(), buffer.data(), kMiB, which * static_cast<off_t>(kMiB)) != static_cast<ssize_t>(kMiB)) give_up("a short read");
        MPI_Send(buffer.data(), bytes, MPI_BYTE, 0, 1, comm_);
      }
    };
    const auto ping = [&](int other, bool first) {
      for (int i = 0; i < kLarge; ++i) {
        if (first) MPI_Send(buffer.data(), bytes, MPI_BYTE, other, 2, comm_);
        MPI_Recv(buffer.data(), bytes, MPI_BYTE, other, 2, comm_, MPI_STATUS_IGNORE);
        if (!first) MPI_Send(buffer.data(), bytes, MPI_BYTE, other, 2, comm_);
      }
    };
    for (int round = -1; round < rounds_; ++round) {
      const double gets = measure([&] { get_all(*remotes_, large_, kMiB); });
      const double loops = measure([&] { ask(true); }, [&] { answer(true); });
      const double streams = measure([&] { ask(false); }, [&] { answer(false); });
      const double pings = measure([&] { ping(1, true); }, [&] { ping(0, false); }) / 2;
      if (round < 0) continue;
      get.add(1e6 * gets / kLarge);
      loop.add(1e6 * loops / kLarge);
      stream.add(1e6 * streams / kLarge);
      raw.add(1e6 * pings / kLarge);
      ratio.add(loops / gets);
      stream_ratio.add(streams / gets);
      raw_ratio.add(pings / gets);
    }
    print({&get, &loop, &stream, &raw, &ratio, &stream_ratio, &raw_ratio});
  }

  void small() {
    Figure local("local get of 10 KiB", "us"), asked("neighbour get of 10 KiB that asks for its place", "us"),
        neighbour("neighbour get of 10 KiB, nothing changed there since the last", "us"), remote("remote get of 10 KiB", "us"),
        echo_time("echo of 10 KiB through service threads", "us"), neighbour_ratio("neighbour get's time / local get's, wanted at most 2", "x"),
        asked_ratio("neighbour get's time with asking / local get's", "x"), remote_ratio("remote get's time / echo's, wanted at most 3", "x");
    Echo echo;
    const Bytes question = some_bytes(kSmall, 1);
    for (int round = -1; round < rounds_; ++round) {
      const double locals = measure([&] { get_all(*neighbours_, small_local_, kSmall); });
      if (rank_ == 1) need(neighbours_->put(small_neighbour_[0], some_bytes(kSmall, 0)));  // places that are known hold no longer
      const double asking = measure([&] { get_all(*neighbours_, small_neighbour_, kSmall); });
      const double nears = measure([&] { get_all(*neighbours_, small_neighbour_, kSmall); });
      const double echoes = measure([&] {
        for (int i = 0; i < kSmallMany; ++i) echo.ask(1, question);
      });
      const double fars = measure([&] { get_all(*remotes_, small_remote_, kSmall); });
      if (round < 0) continue;
      local.add(1e6 * locals / kSmallMany);
      asked.add(1e6 * asking / kSmallMany);
      neighbour.add(1e6 * nears / kSmallMany);
      remote.add(1e6 * fars / kSmallMany);
      echo_time.add(1e6 * echoes / kSmallMany);
      neighbour_ratio.add(nears / locals);
      asked_ratio.add(asking / locals);
      remote_ratio.add(fars / echoes);
    }
    echo.close();
    print({&local, &neighbour, &asked, &echo_time, &remote, &neighbour_ratio, &asked_ratio, &remote_ratio});
  }

  void aggregate() {
    int ranks = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const int next = (rank_ + 1) % ranks;
    const double bytes = static_cast<double>(ranks) * kAggregate * kMiB;
    std::string cat = "exec cat";
    for (const auto& file : std::filesystem::directory_iterator(directory_ + "/neighbours-" + std::to_string(next) + "/volumes"))
      if (file.file_size() > kMiB) cat += " " + file.path().string();
    cat += " >/dev/null";
    const auto near_names = names_on(*neighbours_, "many", next, kAggregate), far_names = names_on(*remotes_, "many", next, kAggregate);
    Bytes buffer(kMiB);
    const auto all = [&](const std::function<void()>& work) {
      quiet_barrier();
      MPI_Barrier(comm_);
      const double mine = seconds_of(work);
      double slowest = 0;
      quiet_barrier();
      MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, comm_);
      return slowest;
    };
    const auto read_all = [&](Store& store, const std::vector<ObjectName>& names) {
      for (const auto& name : names)
        if (need(store.read(name, 0, buffer)) != kMiB) give_up("an object of another size");
    };
    Figure cat_rate("4 cat of 1 MiB files", "GB/s"), get_rate("4 ranks get 1 MiB of neighbours", "GB/s"),
        read_rate("4 ranks read 1 MiB of neighbours into memory they have", "GB/s"), far_rate("4 ranks get 1 MiB by messages", "GB/s"),
        get_ratio("neighbours' gets / cat, wanted 0.8", "x"), read_ratio("neighbours' reads / cat", "x"), far_ratio("gets by messages / cat", "x");
    for (int round = -1; round < rounds_; ++round) {
      const double cats = all([&] {
        if (std::system(cat.c_str()) != 0) give_up("cat failed");  // NOLINT(concurrency-mt-unsafe)
      });
      const double gets = all([&] { get_all(*neighbours_, near_names, kMiB); });
      const double reads = all([&] { read_all(*neighbours_, near_names); });
      const double fars = all([&] { get_all(*remotes_, far_names, kMiB); });
      if (round < 0) continue;
      cat_rate.add(bytes / cats / 1e9);
      get_rate.add(bytes / gets / 1e9);
      read_rate.add(bytes / reads / 1e9);
      far_rate.add(bytes / fars / 1e9);
      get_ratio.add(cats / gets);
      read_ratio.add(cats / reads);
      far_ratio.add(cats / fars);
    }
    print({&cat_rate, &get_rate, &read_rate, &far_rate, &get_ratio, &read_ratio, &far_ratio});
  }

  /// While the other ranks sleep, in no call of MPI.
  void first_request() {
    Figure first("first request after 0.5 s of silence, wanted at most 0.5", "ms"), hot("the request after it", "ms");
    constexpr std::chrono::milliseconds kSilence{500};
    quiet_barrier();
    const auto end = std::chrono::steady_clock::now() + (rounds_ + 2) * kSilence;
    for (int round = 0; rank_ == 0 && round < rounds_; ++round) {
      std::this_thread::sleep_for(kSilence);
      first.add(1e3 * seconds_of([&] { need(remotes_->head(small_remote_[0])); }));
      hot.add(1e3 * seconds_of([&] { need(remotes_->head(small_remote_[1])); }));
    }
    std::this_thread::sleep_until(end);
    print({&first, &hot});
  }

  void idle() {
    Figure cpu("idle process with one such store (two are open: half of what they take), wanted below 1", "% CPU");
    quiet_barrier();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    for (int round = 0; round < std::max(3, rounds_ / 3); ++round) {
      const double before = cpu_seconds();
      std::this_thread::sleep_for(std::chrono::seconds(2));
      cpu.add(100 * (cpu_seconds() - before) / 2 / 2);
    }
    quiet_barrier();
    print({&cpu});
  }

  static double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }

  const int rank_;
  const std::string directory_;
  const int rounds_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::optional<Store> neighbours_, remotes_;
  std::vector<ObjectName> large_, small_remote_, small_neighbour_, small_local_;
  std::uint8_t sink_ = 0;  // of checksums, so that they are computed
};

}  // namespace

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  if (argc < 2 || level != MPI_THREAD_MULTIPLE) give_up("usage: mpirun -n 4 peer_bench DIR [--rounds R]");
  const int rounds = argc > 3 && std::strcmp(argv[2], "--rounds") == 0 ? std::atoi(argv[3]) : 9;
  {
    if (rank_of_world() == 0) std::printf("| %-92s | %9s | %9s | %9s |\n", "what", "least", "median", "most");
    Bench bench(argv[1], std::max(rounds, 1));
    bench.run();
  }
  MPI_Finalize();
  return 0;
}
