#include "mpi/engine.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "mpi/comm.hpp"
#include "mpi/error.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

namespace {

using std::chrono::microseconds;

constexpr microseconds kSpin{50};            // hot traffic is answered without a sleep
constexpr microseconds kFirstSleep{20};      // then 40, 80 ... up to the cap
constexpr microseconds kTransferSpin{1000};  // long messages move only inside MPI calls, some KiB in each: do not sleep at first ...
constexpr microseconds kTransferSleep{50};   // ... and not for longer than this
constexpr auto kTransferMemory = std::chrono::milliseconds(100);
constexpr auto kSilence = std::chrono::milliseconds(500);  // without a message: the rank is idle ...
constexpr int kIdleSleeps = 4;                             // ... and sleeps this many caps, since each wake-up costs 10-20 us
constexpr int kDeepSleeps = 50;                            // caps of a sleep that a ring ends: what a lost ring costs, 50 ms
constexpr auto kTick = std::chrono::milliseconds(250);
constexpr auto kPaused = std::chrono::seconds(1);
constexpr auto kOfferAgain = std::chrono::milliseconds(20);  // memory that other work gives back needs a while
constexpr auto kLookAround = std::chrono::seconds(1);        // how soon a waiting thread sees that the engine has stopped
constexpr int kMessagesPerTurn = 16;
constexpr std::size_t kRequestsFirst = 64;  // room for requests to begin with
constexpr std::size_t kTransferBytesMin = 64 * 1024;

thread_local int application_calls = 0;

/// Says in a catch block what has thrown; does without if there is no memory for that either.
void log_exception(const char* what) noexcept {
  try {
    base::log_error(current_error(what).message);
  } catch (...) {
    return;
  }
}

/// Of an MPI code that is none of a call; without a text where there is no memory for one.
Result<void> outcome_of(int code) noexcept {
  if (code == MPI_SUCCESS || code == MPI_ERR_PENDING) return {};
  try {
    return fail(mpi_error(code, "a message"));
  } catch (...) {
    return fail(Error());
  }
}

/// The engines of this process that have no service thread (docs/adr/0008). The one registry of Tarn: a thread that waits in one
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
  // MPI may still write into these buffers, and only MPI knows when it is done: they stay until the process ends, in a list
  // that leak checkers can see.
  static std::atomic<Left*> first{nullptr};
  Left* const left = left_.release();
  left->watched = std::move(watched_);
  left->next = first.load();
  while (!first.compare_exchange_weak(left->next, left)) continue;
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
  {
    const std::lock_guard lock(queue_mutex_);
    closed_ = true;  // whoever comes later is told so at once
  }
  stopping_.store(true);
  if (wake_) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof(one));
  }
  if (thread_.joinable()) thread_.join();
  std::vector<Work> dropped;
  const std::lock_guard lock(queue_mutex_);
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

void Engine::make_room(std::size_t requests) {
  const std::size_t needed = requests_.size() + requests;
  if (done_.capacity() >= needed) return;  // the last one to grow
  const std::size_t room = std::max({needed, 2 * done_.capacity(), kRequestsFirst});
  requests_.reserve(room);
  watched_.reserve(room);
  ended_.resize(room);
  statuses_.resize(room);
  done_.reserve(room);
}

void Engine::watch(MPI_Request request, Buffer buffer, Completion completion) noexcept {
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
      if (sleep(pause)) pause = microseconds(0);
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
      const auto begun = Clock::now();  // what was sent before has been looked for when the turns end
      const bool worked = turn() || ((is_rung() || pause < options_.idle_poll_cap) && turn());
      if (!worked) {
        pause = pause_after(last_work, begun, pause);
        if (pause.count() == 0) std::this_thread::yield();  // the core may be one of the application's
        const bool deep = is_rung() && requests_.empty() && begun - last_work > Doorbell::kDeepAfter;
        const auto limit = deep ? std::min<microseconds>(kDeepSleeps * options_.idle_poll_cap, kTick) : pause;
        if (limit.count() == 0 || !sleep(limit)) continue;
      }
      last_work = Clock::now();
      pause = microseconds(0);
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
  if (!requests_.empty() && now - last_transfer_ < kTransferSpin) return microseconds(0);
  auto cap = options_.idle_poll_cap;
  if (requests_.empty()) {
    if (now - last_work > kSilence) cap *= kIdleSleeps;
  } else if (now - last_transfer_ < kTransferMemory) {
    cap = std::min(cap, kTransferSleep);
  }
  return std::min(cap, previous.count() == 0 ? kFirstSleep : previous * 2);
}

bool Engine::sleep(microseconds limit) noexcept {
  bool rung = false;
  sleeping_.store(true);
  if (!queued_.load() && !stopping_.load()) {
    std::array<pollfd, 2> fds{pollfd{wake_.get(), POLLIN, 0}, pollfd{doorbell_ != nullptr ? doorbell_->descriptor(Clock::now()) : -1, POLLIN, 0}};
    const timespec timeout{limit.count() / 1000000, static_cast<long>(limit.count() % 1000000) * 1000};
    if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) > 0) {
      std::uint64_t count = 0;
      if (fds[0].revents != 0 && ::read(wake_.get(), &count, sizeof(count)) < 0) count = 0;  // somebody else has read it
      if (fds[1].revents != 0) rung = doorbell_->answer(Clock::now());
    }
  }
  sleeping_.store(false);
  return rung;
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
  for (auto& item : work) {
    try {
      item();
    } catch (...) {
      log_exception("a piece of work of the service thread is dropped");
    }
    item = Work();  // what it holds goes here, where it may throw no more
  }
  return !work.empty();
}

bool Engine::probe() {
  if (listener_ == nullptr || broken_) return false;
  if (postponed_) return offer_again(Clock::now());
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
    if (!offer({message, status.MPI_SOURCE, status.MPI_TAG, static_cast<std::size_t>(size)})) return any;
  }
  return any;
}

bool Engine::offer(const Postponed& message) noexcept {
  try {
    listener_->on_message(message.message, message.source, message.tag, message.size_bytes);
    return true;
  } catch (...) {
    if (!postponed_) log_exception("a message of another rank has to wait");
    postponed_ = message;
    next_offer_ = Clock::now() + kOfferAgain;
    return false;
  }
}

bool Engine::offer_again(Clock::time_point now) noexcept {
  if (now < next_offer_) return false;
  if (!offer(*postponed_)) return false;
  postponed_.reset();
  return true;
}

bool Engine::test() {
  if (requests_.empty()) return false;
  const int count = static_cast<int>(requests_.size());
  int ended = 0;
  const int code = MPI_Testsome(count, requests_.data(), &ended, ended_.data(), statuses_.data());
  if (ended == MPI_UNDEFINED || ended <= 0) return false;

  // MPI has forgotten these requests: until the lists are in order again nothing may throw.
  for (int i = 0; i < ended; ++i) {
    const int own_code = code == MPI_ERR_IN_STATUS ? statuses_[static_cast<std::size_t>(i)].MPI_ERROR : code;
    done_.push_back({std::move(watched_[static_cast<std::size_t>(ended_[static_cast<std::size_t>(i)])]), outcome_of(own_code)});
  }
  std::sort(ended_.begin(), ended_.begin() + ended);
  for (int i = ended; i-- > 0;) {  // from the back, so that the indices in front stay right
    const auto at = static_cast<std::size_t>(ended_[static_cast<std::size_t>(i)]);
    requests_[at] = requests_.back();
    requests_.pop_back();
    if (at != watched_.size() - 1) watched_[at] = std::move(watched_.back());
    watched_.pop_back();
  }
  // Completions may begin new requests, which may move done_.
  for (std::size_t i = 0; i < done_.size(); ++i) {
    Ended one = std::move(done_[i]);
    if (one.watched.buffer.size() >= kTransferBytesMin) last_transfer_ = Clock::now();
    try {
      one.watched.completion(std::move(one.outcome), std::move(one.watched.buffer));
    } catch (...) {
      log_exception("what follows a message is dropped");
    }
  }
  done_.clear();
  return true;
}

Clock::time_point Engine::resumed() const noexcept {
  const auto now = Clock::now();
  return now - last_turn_.load() > kPaused ? now : resumed_.load();
}

void Engine::tick(Clock::time_point now) noexcept {
  if (now - last_turn_.load() > kPaused) resumed_.store(now);
  last_turn_.store(now);
  if (now < next_tick_) return;
  next_tick_ = now + kTick;
  if (listener_ == nullptr) return;
  try {
    listener_->on_tick(now);
  } catch (...) {
    log_exception("a regular task of the service thread");
  }
}

}  // namespace tarn::mpi
