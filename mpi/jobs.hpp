// jobs.hpp - collective work that is started from outside (POST /v1/sort, /v1/rebalance) and runs beside everything else.
// Level 6 (mpi). start(), status(), abort(): any thread of any rank. One thread per rank runs the jobs, in the
// order that rank 0 gave them, over a communicator of their own.
//
//   any rank --sort_start--> rank 0: checks the specification, numbers the job --sort_run--> every rank: queue --> run_dsort, settle
//   any rank --job_status, sort_abort--> rank 0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <variant>

#include <tarn/dsort.hpp>
#include <tarn/result.hpp>

#include "base/json.hpp"
#include "mpi/caller.hpp"
#include "mpi/dsort.hpp"
#include "mpi/engine.hpp"
#include "mpi/peer_service.hpp"
#include "mpi/settle.hpp"
#include "mpi/worker_pool.hpp"

namespace tarn::mpi {

class Jobs {
 public:
  /// The contexts have collectives of their own; `control` has one thread; everything lives as long as this does.
  Jobs(Engine& engine, Caller& caller, WorkerPool& control, DsortContext dsort, SettleContext settle)
      : engine_(engine), caller_(caller), control_(control), dsort_(std::move(dsort)), settle_(settle) {}
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;
  ~Jobs() { stop(); }

  void add_to(PeerService& service);
  [[nodiscard]] Result<void> start_thread();
  /// Has the objects counted that lack a copy. On every rank, before the first start().
  void count_copies();

  /// @return "srt-1", ... @errors invalid, unsupported: what the specification says wrong; rank_lost, timeout.
  [[nodiscard]] Result<std::string> start(const base::Json& spec);
  [[nodiscard]] Result<base::Json> status(std::string_view id);
  [[nodiscard]] Result<void> abort(std::string_view id);
  /// "rebalance", "dsort assemble", ...; empty: nothing runs.
  [[nodiscard]] std::string running();

  /// Aborts what runs and what waits, and waits for the end of the thread. On every rank, after the last start()
  /// of any rank: aborting is collective too.
  void stop() noexcept;

 private:
  enum class State : std::uint8_t { running, finished, aborted, failed };
  struct CountCopies {};  ///< count_missing_copies()
  struct Job {
    std::string id;
    std::variant<DsortSpec, RebalanceOptions, CountCopies> work;
    std::atomic<bool> abort{false};
    // Guarded by mutex_:
    State state = State::running;
    std::string phase = "waiting";
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    base::Json report;
    Error error;
  };

  // On rank 0's control thread: one start at a time.
  [[nodiscard]] Result<std::string> start_everywhere(const std::string& spec_text);
  // On rank 0:
  [[nodiscard]] Result<base::Json> status_here(std::string_view id);
  [[nodiscard]] Result<void> abort_here(std::string_view id);
  // On each rank:
  [[nodiscard]] Result<void> enqueue(const std::string& id, const std::string& spec_text);
  void run() noexcept;
  void run_job(Job& job);
  [[nodiscard]] Result<base::Json> do_work(Job& job, const DsortSpec& spec);
  [[nodiscard]] Result<base::Json> do_work(Job& job, const RebalanceOptions& options);
  [[nodiscard]] Result<base::Json> do_work(Job& job, const CountCopies& options);
  void note_progress(Job& job, std::string_view phase, std::uint64_t done, std::uint64_t total);
  void end_job(const std::string& id) noexcept;  // with mutex_ held

  Engine& engine_;
  Caller& caller_;
  WorkerPool& control_;
  DsortContext dsort_;
  SettleContext settle_;
  std::thread thread_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::uint64_t next_number_ = 1;
  std::map<std::string, std::shared_ptr<Job>, std::less<>> jobs_;
  std::deque<std::shared_ptr<Job>> queue_;
  std::shared_ptr<Job> running_;
  std::deque<std::string> ended_;  // oldest first: forgotten beyond kJobsRemembered
  bool stopping_ = false;
};

}  // namespace tarn::mpi
