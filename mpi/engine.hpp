// engine.hpp - the one place that calls MPI while a store is open.
// Level 6 (mpi).
//
//   other threads --execute(work)--> queue --+                      +--> Listener: a message has come
//                                            |    turn(): one thread |
//   eventfd wakes a sleeping turn <----------+--> queue, probe, test +--> Completion: a request has ended
//
// With MPI_THREAD_MULTIPLE the engine has a thread of its own ("service thread"); with less, the application's
// thread makes the turns, in Store::progress() and in every Store call that waits.
// Several threads inside MPI deadlock in Open MPI 4.1 (issues 10324, 11428), and a blocking MPI call burns a core
// (issue 6433): hence one thread, matched probes and tests, and sleeping between turns. A thread that other ranks ring
// (doorbell.hpp) sleeps for long when nothing is under way.
//
// What throws ends alone: a Work, a Completion or a tick is logged and dropped, a message is offered again. Where MPI has
// something under way nothing is allocated any more: begin() has done it before.
#pragma once

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/unique_function.hpp"
#include "mpi/buffer.hpp"
#include "mpi/doorbell.hpp"
#include "mpi/error.hpp"
#include "mpi/event.hpp"

namespace tarn::mpi {

/// Called on the engine's thread.
class Listener {
 public:
  virtual ~Listener() = default;
  /// A matched message; the listener receives it with MPI_Imrecv, now or later. If it throws it has not received it, and is
  /// called again.
  virtual void on_message(MPI_Message message, int source, int tag, std::size_t size_bytes) = 0;
  /// About four times a second.
  virtual void on_tick(Clock::time_point now) = 0;
};

struct EngineOptions {
  bool own_thread = true;
  std::chrono::microseconds idle_poll_cap{1000};  ///< longest sleep between turns of who may not be rung
};

class Engine {
 public:
  using Work = base::UniqueFunction<void()>;
  /// The request has ended; its buffer comes back.
  using Completion = base::UniqueFunction<void(Result<void>, Buffer)>;

  explicit Engine(const EngineOptions& options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  /// Messages on `comm` go to `listener` from now on. Before start().
  void listen(MPI_Comm comm, Listener& listener);
  /// Rings end sleeps of this engine from now on, and where all ranks ring it sleeps for long. The ranks are those of listen(). Before start().
  void wake_by(Doorbell& doorbell) noexcept { doorbell_ = &doorbell; }
  /// Starts the service thread, if the engine is to have one; until then the caller makes the turns.
  /// @errors io (no eventfd, no thread).
  [[nodiscard]] Result<void> start();
  /// Ends the service thread. Work that is still queued is dropped. Idempotent.
  void stop() noexcept;

  /// Runs `work` on the engine's thread, in the order of the calls. Any thread.
  /// @return false when the engine has stopped; the work is then dropped.
  bool execute(Work work);

  /// Engine's thread. Makes an MPI call that starts something: `post`, (Buffer&, MPI_Request*) -> int; calls `completion` when it has
  /// ended or could not be started, with an error that begins with `name`. Owns the buffer until then.
  /// Throws std::bad_alloc: `post` has not been called, and `completion` will not be.
  template <class Post>
  void begin(const char* name, Buffer buffer, Post post, Completion completion);

  /// Engine's thread. After the begin() of a message to a rank that may be asleep.
  void ring(int rank) noexcept {
    if (doorbell_ != nullptr) doorbell_->ring(rank, Clock::now());
  }

  /// Engine's thread. A long message is under way whose bytes are not in its request's buffer.
  void expect_transfer() noexcept { last_transfer_ = Clock::now(); }

  /// Waits for the event; makes turns itself where it must. Any thread but the engine's.
  /// @return whether it is set; false after the deadline, or when the engine has stopped.
  bool wait(Event& event, Clock::time_point deadline);

  /// Whether it answers others without help of the application.
  [[nodiscard]] bool has_own_thread() const noexcept { return options_.own_thread; }
  /// Nothing is answered or sent any more. Any thread.
  [[nodiscard]] bool stopped() const noexcept { return stopped_.load(); }

  /// One turn by the application, where there is no service thread. @return whether there was anything to do.
  bool drive();

  /// Does what begin() would allocate for this many more requests. @throws std::bad_alloc.
  void make_room(std::size_t requests);

  /// When the turns last began again after a second or more without any: the process was suspended, or nobody made them.
  /// What came in between lies unread, so nobody is late before he has had time since. Any thread.
  [[nodiscard]] Clock::time_point resumed() const noexcept;
  /// Requests that MPI has not ended yet. Engine's thread, or after stop().
  [[nodiscard]] std::size_t outstanding() const noexcept { return requests_.size(); }

 private:
  struct Watched {
    Buffer buffer;
    Completion completion;
  };
  struct Ended {
    Watched watched;
    Result<void> outcome;
  };
  struct Left {
    std::vector<Watched> watched;
    Left* next = nullptr;
  };
  struct Postponed {
    MPI_Message message;
    int source;
    int tag;
    std::size_t size_bytes;
  };

  void run() noexcept;
  bool turn();
  bool run_queue();
  bool probe();
  /// @return false: the listener could not take it; it is kept.
  bool offer(const Postponed& message) noexcept;
  bool offer_again(Clock::time_point now) noexcept;
  void watch(MPI_Request request, Buffer buffer, Completion completion) noexcept;
  bool test();
  void tick(Clock::time_point now) noexcept;
  /// @return whether another rank has rung.
  bool sleep(std::chrono::microseconds limit) noexcept;
  [[nodiscard]] bool is_rung() const noexcept { return doorbell_ != nullptr && doorbell_->all_ring(); }
  [[nodiscard]] bool wait_for_service(Event& event, Clock::time_point deadline);
  [[nodiscard]] std::chrono::microseconds pause_after(Clock::time_point last_work, Clock::time_point now, std::chrono::microseconds previous) const;

  const EngineOptions options_;
  base::UniqueFd wake_;  // eventfd: written by execute() when the engine sleeps
  MPI_Comm comm_ = MPI_COMM_NULL;
  Listener* listener_ = nullptr;
  Doorbell* doorbell_ = nullptr;

  std::mutex queue_mutex_;  // guards queue_ and closed_
  std::vector<Work> queue_;
  bool closed_ = false;
  std::atomic<bool> queued_{false};
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> stopped_{false};
  std::thread thread_;
  std::atomic<bool> threaded_{false};  // the service thread makes the turns

  std::atomic<Clock::time_point> last_turn_{Clock::now()};
  std::atomic<Clock::time_point> resumed_{};

  std::mutex turn_mutex_;  // without a service thread: whose turn it is

  // Of the thread that makes the turn.
  std::vector<MPI_Request> requests_;  // same order as watched_
  std::vector<Watched> watched_;
  std::unique_ptr<Left> left_ = std::make_unique<Left>();  // for what is under way when the engine goes
  std::vector<int> ended_;                                 // this and the next two have room for as many as requests_
  std::vector<MPI_Status> statuses_;
  std::vector<Ended> done_;
  std::optional<Postponed> postponed_;  // the listener had no memory for it: nothing is probed before it has
  Clock::time_point next_offer_{};
  Clock::time_point last_transfer_{};
  Clock::time_point next_tick_{};
  bool broken_ = false;  // MPI_Improbe has failed: no more probes
};

template <class Post>
void Engine::begin(const char* name, Buffer buffer, Post post, Completion completion) {
  make_room(1);
  MPI_Request request = MPI_REQUEST_NULL;
  if (const int code = post(buffer, &request); code != MPI_SUCCESS) return completion(fail(mpi_error(code, name)), std::move(buffer));
  watch(request, std::move(buffer), std::move(completion));
}

/// While one lives, this thread is inside a call of the application and may make the engine's turns.
class ApplicationCall {
 public:
  ApplicationCall() noexcept;
  ApplicationCall(const ApplicationCall&) = delete;
  ApplicationCall& operator=(const ApplicationCall&) = delete;
  ~ApplicationCall();
  [[nodiscard]] static bool active() noexcept;
};

}  // namespace tarn::mpi
