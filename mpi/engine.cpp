#include "mpi/engine.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "mpi/comm.hpp"
#include "mpi/error.hpp"

namespace tarn::mpi {

namespace {

using std::chrono::microseconds;

constexpr microseconds kSpin{50};           // hot traffic is answered without a sleep
constexpr microseconds kFirstSleep{20};     // then 40, 80 ... up to the cap
constexpr microseconds kTransferSleep{50};  // long messages move only inside MPI calls: do not sleep longer
constexpr auto kTransferMemory = std::chrono::milliseconds(100);
constexpr auto kSilence = std::chrono::milliseconds(500);  // without a message: the rank is idle ...
constexpr int kIdleSleeps = 4;                             // ... and sleeps this many caps, since each wake-up costs 10-20 us
constexpr auto kTick = std::chrono::milliseconds(250);
constexpr auto kLookAround = std::chrono::seconds(1);  // how soon a waiting thread sees that the engine has stopped
constexpr int kMessagesPerTurn = 16;
constexpr std::size_t kTransferBytesMin = 64 * 1024;

thread_local int application_calls = 0;

/// The engines of this process that have no service thread. The one registry of Tarn: a thread that waits in one
/// store's call must go on serving the process's other stores, or two ranks wait for each other in two stores for ever.
class DrivenEngines {
 public:
  static DrivenEngines& instance() {
    static DrivenEngines engines;
    return engines;
  }
  void add(Engine& engine) {
    const std::lock_guard lock(mutex_);
    engines_.push_back(&engine);
  }
  void remove(Engine& engine) {
    const std::lock_guard lock(mutex_);
    engines_.erase(std::remove(engines_.begin(), engines_.end(), &engine), engines_.end());
  }
  bool drive() {
    const std::lock_guard lock(mutex_);  // an engine does not go away while it is driven
    bool worked = false;
    for (Engine* engine : engines_) worked |= engine->drive();
    return worked;
  }

 private:
  std::mutex mutex_;  // guards engines_; taken before an engine's turn_mutex_
  std::vector<Engine*> engines_;
};

}  // namespace

ApplicationCall::ApplicationCall() noexcept {
  ++application_calls;
}
ApplicationCall::~ApplicationCall() {
  --application_calls;
}
bool ApplicationCall::active() noexcept {
  return application_calls > 0;
}

Engine::Engine(const EngineOptions& options) : options_(options), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!options_.own_thread) DrivenEngines::instance().add(*this);
}

Engine::~Engine() {
  stop();
  if (requests_.empty()) return;
  // MPI may still write into these buffers, and only MPI knows when it is done: they must outlive us.
  new std::vector<Watched>(std::move(watched_));
}

void Engine::listen(MPI_Comm comm, Listener& listener) {
  comm_ = comm;
  listener_ = &listener;
}

Result<void> Engine::start() {
  if (!wake_) return fail(base::errno_error(errno, "create", "an eventfd"));
  if (!options_.own_thread) return {};
  threaded_.store(true);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    threaded_.store(false);
    return fail(ErrorCode::io, std::string("cannot start the service thread: ") + error.what());
  }
  return {};
}

void Engine::stop() noexcept {
  if (!options_.own_thread) DrivenEngines::instance().remove(*this);
  stopping_.store(true);
  if (wake_) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof(one));
  }
  if (thread_.joinable()) thread_.join();
  std::vector<Work> dropped;
  const std::lock_guard lock(queue_mutex_);
  closed_ = true;
  dropped.swap(queue_);
  stopped_.store(true);
}

bool Engine::execute(Work work) {
  {
    const std::lock_guard lock(queue_mutex_);
    if (closed_) return false;
    queue_.push_back(std::move(work));
  }
  queued_.store(true);
  if (sleeping_.exchange(false)) {  // one wake-up per sleep: later callers need none
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof(one));
  }
  return true;
}

void Engine::watch(MPI_Request request, Buffer buffer, Completion completion) {
  if (buffer.size() >= kTransferBytesMin) last_transfer_ = Clock::now();
  requests_.push_back(request);
  watched_.push_back({std::move(buffer), std::move(completion)});
}

bool Engine::wait(Event& event, Clock::time_point deadline) {
  if (threaded_.load() || !ApplicationCall::active()) return wait_for_service(event, deadline);
  auto last_work = Clock::now();
  microseconds pause{0};
  while (!event.is_set() && !stopped_.load()) {
    const bool worked = options_.own_thread ? drive() : DrivenEngines::instance().drive();
    const auto now = Clock::now();
    if (now >= deadline) break;
    if (worked) {
      last_work = now;
      pause = microseconds(0);
    } else if (pause = pause_after(last_work, now, pause); pause.count() > 0 && !event.is_set()) {
      sleep(pause);
    }
  }
  return event.is_set();
}

bool Engine::wait_for_service(Event& event, Clock::time_point deadline) {
  for (;;) {
    const auto now = Clock::now();
    const bool last = deadline <= now + kLookAround;
    if (event.wait_until(last ? deadline : now + kLookAround)) return true;
    if (last || stopped_.load()) return event.is_set();
  }
}

bool Engine::drive() {
  if (threaded_.load() || stopped_.load()) return false;
  const std::lock_guard lock(turn_mutex_);
  return turn();
}

void Engine::run() noexcept {
  try {
    auto last_work = Clock::now();
    microseconds pause{0};
    while (!stopping_.load()) {
      // Twice: one poll does not always see a message that is there (measured with Open MPI 4.1.4). After long silence
      // once: that halves what an idle rank costs, and a message missed waits for one more sleep.
      const bool worked = turn() || (pause < options_.idle_poll_cap && turn());
      const auto now = Clock::now();
      if (worked) {
        last_work = now;
        pause = microseconds(0);
      } else if (pause = pause_after(last_work, now, pause); pause.count() > 0) {
        sleep(pause);
      }
    }
  } catch (const std::exception& error) {
    base::log_error(std::string("the service thread ends: ") + error.what());
    const std::lock_guard lock(queue_mutex_);
    closed_ = true;
    stopped_.store(true);
  }
}

microseconds Engine::pause_after(Clock::time_point last_work, Clock::time_point now, microseconds previous) const {
  if (now - last_work < kSpin) return microseconds(0);
  auto cap = options_.idle_poll_cap;
  if (requests_.empty()) {
    if (now - last_work > kSilence) cap *= kIdleSleeps;
  } else if (now - last_transfer_ < kTransferMemory) {
    cap = std::min(cap, kTransferSleep);
  }
  return std::min(cap, previous.count() == 0 ? kFirstSleep : previous * 2);
}

void Engine::sleep(microseconds limit) noexcept {
  sleeping_.store(true);
  if (!queued_.load() && !stopping_.load()) {
    pollfd fd{wake_.get(), POLLIN, 0};
    const timespec timeout{limit.count() / 1000000, static_cast<long>(limit.count() % 1000000) * 1000};
    if (::ppoll(&fd, 1, &timeout, nullptr) > 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto size = ::read(wake_.get(), &count, sizeof(count));
    }
  }
  sleeping_.store(false);
}

bool Engine::turn() {
  bool worked = run_queue();
  worked |= probe();
  worked |= test();
  tick(Clock::now());
  return worked;
}

bool Engine::run_queue() {
  if (!queued_.exchange(false)) return false;
  std::vector<Work> work;
  {
    const std::lock_guard lock(queue_mutex_);
    work.swap(queue_);
  }
  for (auto& item : work) item();
  return !work.empty();
}

bool Engine::probe() {
  if (listener_ == nullptr || broken_) return false;
  bool any = false;
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    int found = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    if (const int code = MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &found, &message, &status); code != MPI_SUCCESS) {
      base::log_error(mpi_error(code, "MPI_Improbe").message + "; this rank answers its peers no longer");
      broken_ = true;
      return any;
    }
    if (found == 0) return any;
    any = true;
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    listener_->on_message(message, status.MPI_SOURCE, status.MPI_TAG, static_cast<std::size_t>(size));
  }
  return any;
}

bool Engine::test() {
  if (requests_.empty()) return false;
  const int count = static_cast<int>(requests_.size());
  ended_.resize(requests_.size());
  statuses_.resize(requests_.size());
  int ended = 0;
  const int code = MPI_Testsome(count, requests_.data(), &ended, ended_.data(), statuses_.data());
  if (ended == MPI_UNDEFINED || ended <= 0) return false;

  std::vector<std::pair<Watched, Result<void>>> done;
  done.reserve(static_cast<std::size_t>(ended));
  for (int i = 0; i < ended; ++i) {
    Result<void> outcome;
    const int own_code = code == MPI_ERR_IN_STATUS ? statuses_[static_cast<std::size_t>(i)].MPI_ERROR : code;
    if (own_code != MPI_SUCCESS && own_code != MPI_ERR_PENDING) outcome = fail(mpi_error(own_code, "a message"));
    done.emplace_back(std::move(watched_[static_cast<std::size_t>(ended_[static_cast<std::size_t>(i)])]), std::move(outcome));
  }
  std::sort(ended_.begin(), ended_.begin() + ended);
  for (int i = ended; i-- > 0;) {  // from the back, so that the indices in front stay right
    const auto at = static_cast<std::size_t>(ended_[static_cast<std::size_t>(i)]);
    requests_[at] = requests_.back();
    requests_.pop_back();
    if (at != watched_.size() - 1) watched_[at] = std::move(watched_.back());
    watched_.pop_back();
  }
  // Completions may watch new requests: the lists are in order again by now.
  for (auto& [watched, outcome] : done) {
    if (watched.buffer.size() >= kTransferBytesMin) last_transfer_ = Clock::now();
    watched.completion(std::move(outcome), std::move(watched.buffer));
  }
  return true;
}

void Engine::tick(Clock::time_point now) {
  if (now < next_tick_) return;
  next_tick_ = now + kTick;
  if (listener_ != nullptr) listener_->on_tick(now);
}

}  // namespace tarn::mpi
